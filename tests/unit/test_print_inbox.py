"""What makes two deliveries of Printful's the same message."""

from __future__ import annotations

from pushcart.services.print_inbox import fingerprint

MESSAGE = {"type": "package_shipped", "created": 1795257600, "retries": 0, "store": 12, "data": {"order": {"id": 7}}}


def test_a_message_is_the_same_at_each_attempt_and_in_any_order_of_its_keys():
    for retries in (0, 1, 5):
        again = {**MESSAGE, "retries": retries}
        assert fingerprint(again) == fingerprint(dict(reversed(again.items()))) == fingerprint(MESSAGE)


def test_anything_else_that_differs_makes_it_another_message():
    others = [{**MESSAGE, name: "x"} for name in MESSAGE if name != "retries"]
    prints = {fingerprint(other) for other in (MESSAGE, *others)}
    assert len(prints) == len(MESSAGE)
