"""One mail, and changed copies of it, for the tests of what carries mails."""

from __future__ import annotations

from datetime import UTC, datetime

from pushcart.mail.message import Message

NOW = datetime(2026, 11, 21, 8, 45, 36, tzinfo=UTC)
MESSAGE = Message(
    name="receipt",
    sender="studio@meadow.example",
    sender_name='Müller, "Clay" & Co',
    to=["ada@example.org"],
    reply_to="help@meadow.example",
    key="o-1.receipt",
    step="order.receipt",
    order_id="o-1",
    subject="Zażółć: your receipt",
    html="<p>Łódź €49.00</p>",
    text="Łódź €49.00\n",
)


def message(**changes) -> Message:
    return Message(**{**MESSAGE.__dict__, **changes})
