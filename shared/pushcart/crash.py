"""Named places between two durable effects, where a test can kill the process.

In production this is one comparison with None. When the environment names a `crash_file` and that file
holds a point's name, the process takes the name out of the file and kills itself with SIGKILL there.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from pathlib import Path

_file = os.environ.get("crash_file")


class Point(StrEnum):
    """Every place where dying must lose nothing and repeat nothing."""

    EVENT_STORED = "event_stored"  # the webhook is in the inbox, not yet acknowledged
    EVENT_READ = "event_read"  # taken from the inbox, nothing asked or written yet
    ORDER_WRITTEN = "order_written"  # the event changed the order, the inbox does not know
    EVENT_APPLIED = "event_applied"  # the inbox knows, no step has run
    STOCK_HELD = "stock_held"  # a checkout holds its pieces, its order is not stored
    ORDER_STORED = "order_stored"  # a checkout's order is stored, nobody has been asked for a payment
    SESSION_CREATED = "session_created"  # the provider has the checkout, the order does not know
    SESSION_NOTED = "session_noted"  # the order knows, the buyer has no answer
    STEP_LEASED = "step_leased"  # the lease is stored, the function not yet called
    STEP_ANSWERED = "step_answered"  # the function answered, the result is not stored
    STEP_RECORDED = "step_recorded"  # the result is stored
    BEFORE_PROVIDER = "before_provider"  # inside a step's function, the provider not yet asked
    AFTER_PROVIDER = "after_provider"  # the provider did it, the function has not answered
    TOKEN_REFRESHED = "token_refreshed"  # Kit has given new tokens, the store does not hold them
    SWEEP_LOCKED = "sweep_locked"  # catch-up holds its lock, nothing swept
    SWEEP_DONE = "sweep_done"  # swept, no heartbeat and the lock still held
    PAGE_TAKEN = "page_taken"  # a page of a provider's list is in the inbox, where the next begins is not noted
    CURSOR_MOVED = "cursor_moved"  # it is noted, order-store knows nothing of what is in the inbox
    SLICE_DONE = "slice_done"  # a slice of a recovery is repaired, that it is done is not noted


def point(name: Point) -> None:
    """Dies here if a test asked for it, once."""
    if _file is None:
        return
    path = Path(_file)
    try:
        wanted = path.read_text().strip()
    except FileNotFoundError:
        return
    if wanted == name:
        path.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)
