// The shop's script: cart, order form, live stock, thank-you page. What comes from data or the network reaches the page
// as text, never as HTML. The words stand in the page, as JSON.
(() => {
  const html = document.documentElement;
  const { root, checkout } = html.dataset;
  const { key, visit, count } = pushcart;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => within.querySelectorAll(selector);
  const at = (name, within) => one(`[data-${name}]`, within);
  const show = (element, visible = true) => element && (element.hidden = !visible);
  const words = JSON.parse(one("#words").textContent);
  const say = (word, values = {}) => words[word].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const on = (name, act, target = window) => target.addEventListener(name, act);
  const write = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };

  // Money: minor units; the digits come from the shop, because Stripe's are not ISO's for every currency.
  const money = (amount, currency) => {
    const [minor, usual] = words.currencies[currency] || [2, 2];
    const digits = amount % 10 ** Math.max(0, minor - usual) ? minor : usual;
    const style = { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits };
    return new Intl.NumberFormat(html.lang, style).format(amount / 10 ** minor);
  };

  // The cart: {token, items, orders}. The token stays through changes; orders are those it was sent to payment with.
  const sound = (item) => item.sku && item.currency && item.price >= 0 && item.quantity > 0 && item.options;
  const read = () => {
    try {
      const cart = JSON.parse(localStorage[key]);
      return { token: cart.token, items: cart.items.filter(sound), orders: cart.orders || [] };
    } catch {
      return { token: "", items: [], orders: [] };
    }
  };
  // randomUUID is only there over https.
  const random = () => crypto.getRandomValues(new Uint32Array(5)).join("-");
  const keep = (cart) => {
    try {
      localStorage[key] = JSON.stringify({ ...cart, token: cart.token || random() });
      count();
      return true;
    } catch {}
  };
  const whole = (text) => Math.min(99, Math.max(1, parseInt(text, 10) || 1));

  const productPage = (form) => {
    const product = JSON.parse(form.dataset.product);
    const button = one("button", form);
    const label = one(".js-only", button);
    const wording = label.textContent;
    let stock = product.stock;
    const chosen = () => product.options.map((option) => new FormData(form).get("option." + option.name));
    const left = (values) => (Object(stock) === stock ? stock[values.join(" / ")] : stock);
    const every = product.options.reduce((sofar, { values }) => sofar.flatMap((some) => values.map((value) => [...some, value])), [[]]);
    const refresh = () => {
      product.options.forEach((_, number) => {
        for (const choice of all(`[data-choice="${number}"]`, form)) {
          choice.disabled = every.every((values) => values[number] !== choice.value || left(values) === 0);
          if (choice.disabled) choice.checked = choice.selected = false;
        }
      });
      const values = chosen();
      const pieces = values.includes(null) || values.includes("") ? null : left(values);
      const gone = pieces === 0 || every.every((some) => left(some) === 0);
      const place = at("stock");
      write(place, gone ? say("sold_out") : pieces ? say("left", { n: pieces }) : say("there"));
      place.classList.toggle("gone", gone);
      button.disabled = gone;
      write(label, gone ? say("sold_out") : wording);
      show(at("now"), !gone && whole(form.elements.quantity.value) === 1);
    };
    on("change", refresh, form);
    on("submit", (event) => {
      const cart = read();
      const values = chosen();
      const options = Object.fromEntries(product.options.map((option, number) => [option.name, values[number]]));
      const quantity = whole(form.elements.quantity.value);
      const { stock, ...about } = product;
      const { sku, currency } = about;
      const other = cart.items.find((item) => item.currency !== currency);
      const same = cart.items.find((item) => item.sku === sku && JSON.stringify(item.options) === JSON.stringify(options));
      const place = at("added", form);
      if (other) {
        write(place, say("other_currency", { cart: other.currency, product: currency }));
        return event.preventDefault();
      }
      Object.assign(about, { options, quantity });
      if (same) Object.assign(same, about, { quantity: whole(same.quantity + quantity), was: 0 });
      else cart.items.push(about);
      // Where nothing can be kept, the form goes to the checkout by itself, as it does without a script.
      if (!keep(cart)) return;
      event.preventDefault();
      const note = one("#added").content.cloneNode(true);
      at("text", note).textContent = say("added");
      place.replaceChildren(note);
    }, form);
    refresh();
    visit()
      .then((response) => response.json())
      .then((answer) => {
        stock = answer.stock[product.sku] ?? null;
        refresh();
      })
      .catch(() => {});
  };

  const cost = (items) => items.reduce((sum, item) => sum + item.price * item.quantity, 0);
  const lines = at("lines");
  const sums = (items) => {
    items.forEach(({ price, quantity, currency }, index) => {
      const each = money(price, currency);
      write(at("price", lines.children[index]), lines.dataset.lines ? each : quantity + " × " + each);
      write(at("sum", lines.children[index]), money(price * quantity, currency));
    });
    if (items.length) write(at("total"), money(cost(items), items[0].currency));
  };
  const draw = ({ items }) => {
    const cloned = items.map((item, index) => {
      const line = one("#line").content.firstElementChild.cloneNode(true);
      const link = root + "products/" + item.sku + "/";
      const fill = (name, text) => write(at(name, line), text);
      at("name", line).href = at("picture", line).href = link;
      if (item.image) {
        const picture = new Image();
        picture.src = root + item.image;
        picture.alt = "";
        at("picture", line).append(picture);
      }
      fill("name", item.name);
      fill("options", Object.entries(item.options).map((pair) => pair.join(": ")).join(", "));
      fill("was", item.was ? money(item.was, item.currency) : "");
      if (!lines.dataset.lines) return line;
      const number = at("quantity", line);
      number.value = item.quantity;
      fill("quantity-label", say("quantity", item));
      fill("remove-label", say("remove", item));
      on("change", () => changed(index, (number.value = whole(number.value))), number);
      on("click", () => changed(index, 0), at("remove", line));
      return line;
    });
    lines.replaceChildren(...cloned);
    sums(items);
    show(at("cart"), items.length);
    show(at("empty"), !items.length);
    show(at("ships"), items.some((item) => item.ships));
  };
  const changed = (index, quantity) => {
    const cart = read();
    const item = cart.items[index];
    if (!item) return;
    item.quantity = quantity;
    cart.items = cart.items.filter(sound);
    keep(cart);
    const total = cart.items.length ? say("total", { total: money(cost(cart.items), cart.items[0].currency) }) : "";
    write(at("said"), (quantity ? "" : say("removed", item) + " ") + total);
    // A new quantity leaves the lines as they are, so that the keyboard's focus goes on from where it is.
    if (quantity) return sums(cart.items);
    draw(cart);
    const line = lines.children[Math.min(index, cart.items.length - 1)];
    (line ? at("remove", line) : one("[data-empty] a")).focus();
  };

  const orderPage = (form) => {
    const { elements } = form;
    const { accept, name: who } = elements;
    const button = at("pay");
    const wording = button.textContent;
    const shipping = at("shipping");
    const pay = () => new FormData(form).get("pay");
    const busy = (is) => {
      button.disabled = is;
      write(button, is ? button.dataset.busy : wording);
    };
    const refresh = () => {
      const { items } = read();
      if (!items.length) return;
      const [{ currency }] = items;
      const ships = items.some((item) => item.ships);
      const here = ships && pay() !== "stripe" && shipping;
      if (shipping) show(shipping, here), (shipping.disabled = !here);
      who.required = pay() !== "stripe";
      show(one(".quiet", who.labels[0]), !who.required);
      show(at("ships"), ships && !here);
      const rate = here && one("[name='shipping.rate']:checked", form);
      const more = rate ? +rate.dataset.amount : 0;
      show(at("rate-line"), rate);
      write(at("rate"), money(more, currency));
      write(at("total"), money(cost(items) + more, currency));
      const was = items.some((item) => item.was);
      show(at("accept"), was);
      accept.disabled = !(accept.required = was);
    };
    const clear = () => {
      all("[data-problem], [data-trouble]").forEach((place) => show(place, false));
      all("[aria-invalid]").forEach((field) => (field.ariaInvalid = null));
    };
    const report = ({ code, message, problems = [] }) => {
      const cart = read();
      for (const { code, item, price } of problems) {
        const line = cart.items[item];
        if (code === "price_changed" && line) [line.was, line.price] = [line.price, price];
      }
      keep(cart);
      draw(cart);
      accept.checked = false;
      refresh();
      const general = [];
      for (const problem of problems) {
        const line = lines.children[problem.item];
        const item = cart.items[problem.item] || {};
        const word = problem.code === "sold_out" && problem.left ? "left" : words.same[problem.code] || problem.code;
        const amount = (value) => value && money(value, item.currency);
        const values = { left: problem.left, now: amount(item.price), was: amount(item.was) };
        const text = words[word] ? say(word, values) : problem.message || say("other");
        const name = [problem.field, "shipping." + problem.field, words.fields[problem.code]].find((one) => one && elements[one]);
        const field = name && !line && one(`[name="${name}"]`, form);
        const place = line ? at("trouble", line) : field && one(`[data-problem="${name}"]`);
        if (!place || (field && field.matches(":disabled"))) general.push(text);
        else {
          write(place, text);
          show(place);
          if (field) field.ariaInvalid = true;
        }
      }
      if (cart.items.some((item) => item.was)) general.push(say("accept"));
      if (!problems.length) general.push(words[code] || message || say("other"));
      const box = one('[data-problem=""]');
      show(box);
      write(box, general.join(" ") || say("look"));
      (one("[aria-invalid], [data-trouble]:not([hidden])", form) || box).focus();
    };
    // A function that is only just starting is answered for by its gateway, in a way that scripts of another origin are
    // not shown. The token makes another try harmless.
    const send = async (body, signal, tries = 4) => {
      const headers = { "Content-Type": "application/json" };
      const sent = fetch(checkout, { method: "POST", headers, body: JSON.stringify(body), signal });
      const response = await sent.catch(() => 0);
      const answer = response && (await response.json().catch(() => 0));
      if (answer && (answer.url || answer.error)) return answer;
      if (!tries || !navigator.onLine) return { error: { code: response ? "other" : "offline" } };
      await new Promise((resolve) => setTimeout(resolve, 1500));
      return send(body, signal, tries - 1);
    };
    on("change", refresh, form);
    on("submit", async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      clear();
      busy(true);
      const cart = read();
      for (const item of cart.items) delete item.was;
      keep(cart);
      const body = { token: read().token, currency: cart.items[0]?.currency, locale: html.lang };
      body.items = cart.items.map(({ name, image, ...item }) => item);
      for (const [name, value] of new FormData(form)) {
        const [part, inner] = name.split(".");
        if (inner) (body[part] ||= {})[inner] = value.trim() || undefined;
        else if (name !== "accept") body[name] = value.trim() || undefined;
      }
      if (body.shipping) body.shipping.name = body.name;
      body.remind = !!body.remind;
      const answer = await send(body, AbortSignal.timeout?.(65000));
      if (/^https?:\/\//.test(answer.url)) {
        keep({ ...read(), orders: [...cart.orders, answer.order].slice(-9) });
        return location.assign(answer.url);
      }
      busy(false);
      report(answer.error || { code: "other" });
    }, form);
    // The way back from the payment may show this page as it was left.
    on("pageshow", () => busy(false));
    return refresh;
  };

  const thanksPage = () => {
    const given = [location.hash.slice(1), location.search].map((part) => new URLSearchParams(part));
    const asked = given.find((part) => ["order", "session_id", "OrderID"].some((name) => part.get(name)));
    if (!asked) return;
    const until = Date.now() + 240000;
    let wait = 1000;
    let shown = at("state");
    const turn = (state) => {
      const section = one(`[data-state="${state}"]`);
      if (!section || section === shown) return;
      show(shown, false);
      show((shown = section));
    };
    const tell = ({ order, state, items = [], expect = [] }) => {
      turn(state);
      const { paid } = shown.dataset;
      all("[data-expect]").forEach((line) => show(line, expect.includes(line.dataset.expect)));
      show(at("next"), expect.length && Boolean(paid));
      write(at("items"), items.map((item) => say("pieces", item)).join("\n"));
      show(at("bought"), items.length);
      write(at("number"), order);
      show(at("named"));
      // A cart that was not the one paid for here, as with a payment link, stays.
      if (paid !== undefined && read().orders.includes(order)) {
        delete localStorage[key];
        count();
      }
    };
    const poll = async () => {
      const answer = fetch(`${checkout}/status?${asked}`, { cache: "no-store" });
      const found = await answer.then((response) => response.ok && response.json()).catch(() => 0);
      if (found) tell(found);
      if ("end" in shown.dataset) return;
      if (Date.now() < until) setTimeout(poll, wait);
      else if (shown.dataset.state === "waiting") turn("late");
      wait = Math.min(wait * 1.5, 10000);
    };
    turn("waiting");
    poll();
  };

  const product = at("product");
  const order = at("order");
  if (product) productPage(product);
  if (lines) {
    const refresh = order ? orderPage(order) : () => {};
    const redraw = () => (draw(read()), refresh());
    redraw();
    on("storage", redraw);
    on("pageshow", (event) => event.persisted && redraw());
  }
  if (at("thanks")) thanksPage();
})();
