"""What Kit checks about a purchase."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def purchase_problems(sent: dict[str, Any]) -> list[str]:
    """What Kit finds wrong with a purchase, in its own words; empty when nothing is."""
    problems = [] if sent.get("transaction_id") else ["transaction_id can't be blank"]
    if not ADDRESS.fullmatch(str(sent.get("email_address", ""))):
        problems.append("Email address is invalid")
    if not sent.get("products"):
        problems.append("Products can't be blank")
    for product in sent.get("products") or []:
        problems += [
            f"{field.capitalize()} can't be blank for product: {product.get('name')}"
            for field in ("sku", "pid", "lid")
            if product.get(field) in (None, "")
        ]
    time = sent.get("transaction_time")
    if time and _parsed_time(str(time)) is None:
        problems.append("Transaction time is invalid")
    return problems


def _parsed_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=UTC)
    except ValueError:
        return None
