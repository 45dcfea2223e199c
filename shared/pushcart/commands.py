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


def ship_order(order_id: str) -> str:
    """Says that a parcel of the order was sent, and how."""
    return f"pushcart orders ship {order_id} --carrier NAME --tracking NUMBER"


def show_event(event_id: str) -> str:
    """Shows an event of the inbox as it arrived."""
    return f"pushcart events show {event_id}"


def replay_event(event_id: str) -> str:
    """Applies an event of the inbox again."""
    return f"pushcart events replay {event_id}"


def recover() -> str:
    """Compares everything with Stripe and Printful."""
    return "pushcart recover"


def logs(function: str) -> str:
    """What a function wrote lately."""
    return f"faas-cli logs {function}"


def needing() -> str:
    """Everything that needs a human."""
    return "pushcart dead"


def dead_events() -> str:
    """The events that could not be applied."""
    return "pushcart events list --status dead"


def waiting_events() -> str:
    """The events that are not applied yet."""
    return "pushcart events list --status pending"


def doctor() -> str:
    """Looks at everything from where it runs."""
    return "pushcart doctor"


def list_alerts() -> str:
    """What is wrong just now."""
    return "pushcart alerts list"


def answer_alert(id: str) -> str:
    """Says that somebody has it in hand."""
    return f"pushcart alerts answer {id}"


def full_folders() -> str:
    """Where the disk's space went."""
    return "sudo du -xhd2 / | sort -h | tail"


def update_secret(name: str) -> str:
    """Gives the functions a new secret."""
    return f"faas-cli secret update {name} --from-file .secrets/{name}"
