"""What a recovery finds: one difference between us and a provider."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, kw_only=True):
    """One difference. `object` is the provider's, `order` ours.

    `repair` says whether it is put right: `done` (the event is in the inbox), `will` (with `apply`), `no` (by hand).
    `command` shows more, or repairs it.
    """

    code: str
    text: str
    order: str | None = None
    object: str | None = None
    repair: Literal["done", "will", "no"]
    command: str
