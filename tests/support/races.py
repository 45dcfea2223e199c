"""Many threads that want the same at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def at_once(jobs: Sequence[Callable[[], T]], threads: int | None = None) -> list[T]:
    """The answers of all jobs, started together: each on a thread of its own, or on so many `threads`."""
    with ThreadPoolExecutor(threads or len(jobs)) as pool:
        return [future.result(30) for future in [pool.submit(job) for job in jobs]]
