"""The store in PostgreSQL, through psycopg."""

from __future__ import annotations

import re

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ArgumentError

from pushcart.store import no_address
from pushcart.store.sql import SqlStore

#: Seconds to wait for a connection, and for one statement (in milliseconds: what the server understands).
CONNECT_TIMEOUT = 4
STATEMENT_TIMEOUT = 6_000

#: Whoever makes the tables holds this lock: CREATE ... IF NOT EXISTS of two processes at once would fail in one.
_TABLES = 5_077_244

_OPTIONS = (
    # A commit is on the disk before it returns, whatever the server's own default is:
    # https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
    f"-c synchronous_commit=on -c statement_timeout={STATEMENT_TIMEOUT} -c lock_timeout={STATEMENT_TIMEOUT}"
)


def store(url: str) -> SqlStore:
    """The store at `postgresql://user:password@host/database`; a dead connection is replaced when it is next used.

    Raises `ConfigurationError` for an address that cannot be read.
    """
    try:
        address = sa.make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
    except (ValueError, ArgumentError):
        raise no_address("PostgreSQL") from None
    engine = sa.create_engine(
        address,
        isolation_level="AUTOCOMMIT",  # so that a read is one round trip; `_begin` makes a write a transaction
        pool_size=8,
        max_overflow=8,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            "options": _OPTIONS,
            "application_name": "pushcart",
            # A host that vanishes without a word, before it has taken what was sent, or after.
            "tcp_user_timeout": STATEMENT_TIMEOUT,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        },
    )
    sa.event.listen(engine, "begin", _begin)
    return SqlStore(engine, insert, one_writer=False)


def _begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("write"):
        connection.exec_driver_sql("BEGIN")
    if options.get("tables"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TABLES})")
