"""Ids in the providers' own formats, from one seeded source so that a run can be repeated."""

from __future__ import annotations

import random
import string
import threading

BASE62 = string.digits + string.ascii_letters

# What follows the prefix in Stripe's ids: fixed start, then this many random characters (lengths as in live ids).
_STRIPE_TAIL = {
    "cs_test_": ("a1", 56),
    "pi_": ("3", 23),
    "ch_": ("3", 23),
    "py_": ("3", 23),
    "evt_": ("1", 23),
    "plink_": ("1", 23),
    "price_": ("1", 23),
    "prod_": ("", 14),
    "re_": ("3", 23),
    "pyr_": ("1", 23),
    "dp_": ("1", 23),
    "li_": ("1", 23),
    "req_": ("", 14),
    "txn_": ("3", 23),
    "pm_": ("1", 23),
    "cus_": ("", 14),
    "we_": ("1", 23),
    "acct_": ("1", 15),
    "shr_": ("1", 23),
    "in_": ("1", 23),
}


class Ids:
    """Thread-safe: the sandbox answers several requests at a time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._serial = 1000

    def token(self, length: int, alphabet: str = BASE62) -> str:
        with self._lock:
            return "".join(self._random.choices(alphabet, k=length))

    def hex(self, length: int) -> str:
        return self.token(length, "0123456789abcdef")

    def stripe(self, prefix: str) -> str:
        """A Stripe id such as `pi_3Sj8z9QEUxc7vavP0hxAfxkD` for the prefix `pi_`."""
        start, length = _STRIPE_TAIL[prefix]
        return f"{prefix}{start}{self.token(length)}"

    def serial(self) -> int:
        """The next integer id, as Kit, Discourse and Thinkific number their rows."""
        with self._lock:
            self._serial += 1
            return self._serial
