"""The store in a SQLite file: WAL and full synchronisation, one writer at a time that the others wait for."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from pushcart.store.sql import SqlStore

#: Milliseconds a writer waits for the others before the store counts as unavailable; less than a webhook may take.
BUSY_TIMEOUT = 5_000

#: Pages of 4 KiB in the log before they are moved into the file. The write that does it takes some 20 ms, and at
#: SQLite's own 1,000 that is every hundredth webhook.
CHECKPOINT = 4_000


def store(url: str) -> SqlStore:
    """The store at `sqlite:////path/to/file.db`; the file is made at first use, its folder has to exist."""
    # The connection used last comes first: a write of another one empties SQLite's cache of pages.
    engine = sa.create_engine(
        url, pool_size=8, max_overflow=8, pool_timeout=15, pool_use_lifo=True, hide_parameters=True
    )
    sa.event.listen(engine, "connect", _configure)
    sa.event.listen(engine, "begin", _begin)
    return SqlStore(engine, insert, one_writer=True)


def _configure(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own; `_begin` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it returns
    cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Switching a new file to WAL takes the whole file and, unlike a write, does not wait for others by itself."""
    end = time.monotonic() + BUSY_TIMEOUT / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.02)


def _begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("write"):
        # IMMEDIATE takes the write lock at once: a lock asked for later fails without waiting.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
