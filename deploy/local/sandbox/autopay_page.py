"""Autopay's pay page: what a buyer sees behind a link that the shop signed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from local.sandbox.autopay_messages import AutopayError, Link

if TYPE_CHECKING:
    from local.sandbox.autopay import Autopay

Page = str | tuple[str, int] | Response
Sent = list[tuple[str, str]]


class AutopayPage:
    """The link may be opened by GET, or by POST as the plug-ins for shops do it."""

    def __init__(self, gateway: Autopay) -> None:
        self.gateway = gateway

    def register(self, blueprint: Blueprint) -> None:
        for name, path in (("root", "/"), ("payment", "/payment")):
            blueprint.add_url_rule(path, name, self._page, methods=["GET", "POST"])

    def _page(self) -> Page:
        sent = parse_qsl(request.query_string.decode(), keep_blank_values=True)
        if not sent and request.method == "POST":
            sent = list(request.form.items(multi=True))
        try:
            link = self.gateway.read_link(sent)
        except AutopayError as error:
            return self._message("This payment link does not work", str(error)), error.status
        if self.gateway.is_paid(link.order_id):
            return self._message(
                "This order is paid already", "Nothing is charged a second time.", self.gateway.back_to(link.order_id)
            )
        wish = request.form.get("do")
        return self._form(link, sent) if wish is None else self._act(link, sent, wish)

    def _act(self, link: Link, sent: Sent, wish: str) -> Page:
        gateway, order = self.gateway, link.order_id
        if wish == "fail":
            gateway.fail(order)
            return self._form(link, sent, "The payment did not go through. You may try again."), 402
        if wish == "close":
            gateway.later(order)
            return self._message(
                "You have closed the window",
                "The payment was begun and left. The link still works, and so does the page you came from.",
            )
        if wish == "later":
            gateway.later(order)
        elif wish in ("pay", "twice"):
            gateway.pay(order, twice=wish == "twice")
        else:
            return self._form(link, sent, "Please choose how to pay."), 400
        back = gateway.back_to(order)
        if back:
            return redirect(back, 303)
        if wish == "later":
            text = "The order is placed. In the sandbox you say on the overview when the transfer arrives."
            return self._message("Thank you", text)
        return self._message("Thank you, paid", "The shop has been told.")

    def _form(self, link: Link, sent: Sent, problem: str = "") -> str:
        return render_template(
            "autopay.html",
            link=link,
            action=f"/autopay/?{urlencode(sent)}",
            problem=problem,
            back=self.gateway.back_to(link.order_id) if problem else None,
        )

    @staticmethod
    def _message(title: str, text: str, back: str | None = None) -> str:
        return render_template("message.html", title=title, text=text, back=back or "")
