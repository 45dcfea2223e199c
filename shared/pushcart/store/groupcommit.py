"""Group commit: writers that wait for the disk at the same time share one transaction, and so one flush.

SQLite lets one transaction write at a time and flushes the disk for each, about a millisecond on a small VPS.
Whoever comes while one is at it would wait for it anyway; here they then go together.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

T = TypeVar("T")

#: Writes in one transaction at most, so that other processes get their turn.
LARGEST = 64


class _Job:
    """One write, and what became of it."""

    def __init__(self, work: Callable[[sa.Connection], Any]) -> None:
        self.work = work
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None


class GroupCommit:
    """`connect` gives a connection whose `begin` begins a write transaction; one is kept, with its cache of pages."""

    def __init__(self, connect: Callable[[], sa.Connection]) -> None:
        self._connect = connect
        self._connection: sa.Connection | None = None
        self._waiting: deque[_Job] = deque()
        self._turn = threading.Lock()

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` gives, once it is durable; or raises what `work` or the commit raised, with nothing written.

        `work` may run a second time when the transaction it shared with others failed.
        """
        job = _Job(work)
        self._waiting.append(job)
        with self._turn:
            # Whoever has the turn writes for all that have gathered; most find their own job done.
            while not job.done:
                self._commit([self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST))])
        if job.error is not None:
            raise job.error
        result: T = job.value
        return result

    def close(self) -> None:
        """Gives the connection back."""
        with self._turn:
            self._drop()

    def _commit(self, jobs: list[_Job]) -> None:
        """Every job is done afterwards, with a value or an error, whatever happens."""
        begun = False
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.begin():
                begun = True
                for job in jobs:
                    job.value = job.work(self._connection)
        except BaseException as error:
            self._drop()
            if begun and len(jobs) > 1 and isinstance(error, Exception):
                for job in jobs:
                    self._commit([job])  # one bad write must not cost the others theirs
                return
            for job in jobs:
                job.error = error
        finally:
            for job in jobs:
                job.done = True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):  # the error that led here is the one to tell
                connection.close()
