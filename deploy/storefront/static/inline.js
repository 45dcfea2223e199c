// On every page, in its head: says that there is a script, counts the cart, and tells the checkout of the visit,
// which also wakes it up for an order that may follow.
(() => {
  const html = document.documentElement;
  const { root, checkout, page, live } = html.dataset;
  const shop = (window.pushcart = { key: "pushcart " + new URL(root, location.href).pathname });
  html.classList.add("js");
  shop.count = () => {
    let sum = 0;
    try {
      for (const item of JSON.parse(localStorage[shop.key]).items) sum += item.quantity;
    } catch {}
    for (const place of document.querySelectorAll("[data-count]")) {
      place.textContent = sum || "";
      place.hidden = !sum;
    }
  };
  addEventListener("DOMContentLoaded", shop.count);
  addEventListener("pageshow", shop.count);
  if (!checkout) return;
  let from = "";
  try {
    from = new URL(document.referrer).host;
  } catch {}
  const body = new URLSearchParams({ page, from: from === location.host ? "" : from });
  shop.visit = () => fetch(checkout + "/visit", { method: "POST", body, keepalive: true });
  // A product's page asks for itself: it wants to know what is left.
  if (live === undefined) navigator.sendBeacon?.(checkout + "/visit", body) || shop.visit().catch(() => {});
})();
