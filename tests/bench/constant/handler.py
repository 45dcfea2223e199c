"""Answers as the webhook does, having done nothing: what the template alone can give."""

from __future__ import annotations

from typing import Any


def handle(event: Any, context: Any) -> dict[str, Any]:
    return {"statusCode": 200, "body": {"received": True}}
