"""The commands that mails and errors tell the owner to run, in one place."""

from __future__ import annotations


def show_order(order_id: str) -> str:
    """Shows an order with its timeline."""
    return f'make ask CALL="GET /orders/{order_id}"'


def retry_order(order_id: str) -> str:
    """Tries every dead step of the order again."""
    return f'make ask CALL="POST /orders/{order_id}/retry"'


def release_order(order_id: str) -> str:
    """Fulfils an order in spite of its amount."""
    return f'make ask CALL="POST /orders/{order_id}/release"'


def show_event(event_id: str) -> str:
    """Shows an event of the inbox as it arrived."""
    return f'make ask CALL="GET /events/{event_id}"'


def replay_event(event_id: str) -> str:
    """Applies an event of the inbox again."""
    return f'make ask CALL="POST /events/{event_id}/replay"'
