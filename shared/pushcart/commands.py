"""The commands that mails and errors tell the owner to run, in one place."""

from __future__ import annotations


def show_order(order_id: str) -> str:
    """Shows an order with its timeline."""
    return f"pushcart orders show {order_id}"


def retry_order(order_id: str) -> str:
    """Tries every dead step of the order again."""
    return f"pushcart orders retry {order_id}"


def release_order(order_id: str) -> str:
    """Fulfils an order in spite of its amount."""
    return f"pushcart orders release {order_id}"


def handled_order(order_id: str) -> str:
    """Ends what needs attention, because the owner dealt with it."""
    return f"pushcart orders handled {order_id}"


def show_event(event_id: str) -> str:
    """Shows an event of the inbox as it arrived."""
    return f"pushcart events show {event_id}"


def replay_event(event_id: str) -> str:
    """Applies an event of the inbox again."""
    return f"pushcart events replay {event_id}"


def logs(function: str) -> str:
    """What a function wrote lately."""
    return f"faas-cli logs {function}"
