"""The store on SQL through SQLAlchemy Core; SQLite with WAL and full synchronisation is the embedded default.

Each collection is a table with the document as JSON text and one column for each indexed field; each list
field is a table of its own. Several processes may use one SQLite file: a writer waits for the others.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from pushcart.errors import StoreUnavailable
from pushcart.store import COLLECTIONS, Collection, Document

#: Milliseconds a writer waits for the others before the store counts as unavailable.
BUSY_TIMEOUT = 10_000


class _Tables:
    """The tables of one collection."""

    def __init__(self, collection: Collection, metadata: sa.MetaData) -> None:
        columns = [sa.Column(field, sa.Text) for field in collection.fields]
        self.main = sa.Table(
            collection.name,
            metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("body", sa.Text, nullable=False),
            *columns,
        )
        for fields in collection.indexes:
            name = f"ix_{collection.name}_{'_'.join(fields)}"
            sa.Index(name, *(self.main.c[field] for field in fields), self.main.c.id)
        self.lists = {
            field: sa.Table(
                f"{collection.name}_{field}",
                metadata,
                sa.Column("value", sa.Text, primary_key=True),
                sa.Column("id", sa.Text, primary_key=True, index=True),
            )
            for field in collection.lists
        }
        self.fields = collection.fields

    def row(self, document: Document) -> dict[str, Any]:
        indexed = {field: document.get(field) for field in self.fields}
        body = msgspec.json.encode(document).decode()
        return {"id": document["id"], "version": document["version"], "body": body, **indexed}


class SqlStore:
    """See `pushcart.store.Store`."""

    def __init__(self, url: str) -> None:
        self._metadata = sa.MetaData()
        self._tables = {name: _Tables(collection, self._metadata) for name, collection in COLLECTIONS.items()}
        self._engine = sa.create_engine(url, pool_size=8, max_overflow=8, pool_timeout=15, hide_parameters=True)
        self._made = False
        self._making = threading.Lock()
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin)

    def insert(self, collection: str, document: Document) -> bool:
        tables = self._tables[collection]
        try:
            with self._write() as connection:
                connection.execute(sa.insert(tables.main), tables.row(document))
                self._write_lists(connection, tables, document, new=True)
        except IntegrityError:
            return False
        return True

    def get(self, collection: str, id: str) -> Document | None:
        table = self._tables[collection].main
        with self._read() as connection:
            body = connection.execute(sa.select(table.c.body).where(table.c.id == id)).scalar()
        return None if body is None else msgspec.json.decode(body)

    def replace(self, collection: str, document: Document, version: int) -> bool:
        tables = self._tables[collection]
        table = tables.main
        row = tables.row(document)
        change = sa.update(table).where(table.c.id == row.pop("id"), table.c.version == version).values(**row)
        with self._write() as connection:
            replaced = connection.execute(change).rowcount == 1
            if replaced:
                self._write_lists(connection, tables, document, new=False)
        return replaced

    def find(
        self,
        collection: str,
        *,
        equal: Mapping[str, str] | None = None,
        order_by: str,
        since: str | None = None,
        until: str | None = None,
        descending: bool = False,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> list[Document]:
        table = self._tables[collection].main
        query = self._sorted(collection, sa.select(table.c.body), order_by, descending, after)
        query = query.where(*self._conditions(collection, equal))
        if since is not None:
            query = query.where(table.c[order_by] >= since)
        if until is not None:
            query = query.where(table.c[order_by] < until)
        with self._read() as connection:
            rows = connection.execute(query.limit(limit)).scalars().all()
        return [msgspec.json.decode(body) for body in rows]

    def keys(
        self, collection: str, *, order_by: str, until: str, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str]]:
        table = self._tables[collection].main
        query = self._sorted(collection, sa.select(table.c[order_by], table.c.id), order_by, False, after)
        with self._read() as connection:
            rows = connection.execute(query.where(table.c[order_by] < until).limit(limit)).all()
        return [(value, id) for value, id in rows]

    def _sorted(
        self, collection: str, query: sa.Select[Any], order_by: str, descending: bool, after: tuple[str, str] | None
    ) -> sa.Select[Any]:
        table = self._tables[collection].main
        key = table.c[order_by]
        if after is not None:
            here, last = sa.tuple_(key, table.c.id), sa.tuple_(*map(sa.literal, after))
            query = query.where(here < last if descending else here > last)
        order = (key.desc(), table.c.id.desc()) if descending else (key, table.c.id)
        return query.where(key.is_not(None)).order_by(*order)

    def count(self, collection: str, equal: Mapping[str, str] | None = None) -> int:
        table = self._tables[collection].main
        query = sa.select(sa.func.count()).select_from(table).where(*self._conditions(collection, equal))
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def increment(self, collection: str, id: str, amount: int = 1) -> int:
        table = self._tables[collection].main
        with self._write() as connection:
            # The write transaction is exclusive on SQLite; on other databases the row is locked.
            body = connection.execute(sa.select(table.c.body).where(table.c.id == id).with_for_update()).scalar()
            document = {"id": id, "version": 0, "value": 0} if body is None else msgspec.json.decode(body)
            document["value"] += amount
            document["version"] += 1
            row = self._tables[collection].row(document)
            change = sa.insert(table) if body is None else sa.update(table).where(table.c.id == id)
            connection.execute(change.values(**row))
        return int(document["value"])

    def delete(self, collection: str, id: str, version: int | None = None) -> bool:
        tables = self._tables[collection]
        condition = [tables.main.c.id == id]
        if version is not None:
            condition.append(tables.main.c.version == version)
        with self._write() as connection:
            deleted = connection.execute(sa.delete(tables.main).where(*condition)).rowcount == 1
            for lists in tables.lists.values() if deleted else ():
                connection.execute(sa.delete(lists).where(lists.c.id == id))
        return deleted

    def ping(self) -> None:
        self.increment("counters", "store.ping", 0)

    def close(self) -> None:
        self._engine.dispose()

    def _conditions(self, collection: str, equal: Mapping[str, str] | None) -> list[sa.ColumnElement[bool]]:
        tables = self._tables[collection]
        conditions: list[sa.ColumnElement[bool]] = []
        for field, value in (equal or {}).items():
            if field in tables.lists:
                lists = tables.lists[field]
                conditions.append(tables.main.c.id.in_(sa.select(lists.c.id).where(lists.c.value == value)))
            else:
                conditions.append(tables.main.c[field] == value)
        return conditions

    @staticmethod
    def _write_lists(connection: sa.Connection, tables: _Tables, document: Document, *, new: bool) -> None:
        for field, lists in tables.lists.items():
            if not new:
                connection.execute(sa.delete(lists).where(lists.c.id == document["id"]))
            rows = [{"value": value, "id": document["id"]} for value in dict.fromkeys(document.get(field) or ())]
            if rows:
                connection.execute(sa.insert(lists), rows)

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._errors():
            self._make_tables()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self._errors():
            self._make_tables()
            with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__)
            raise StoreUnavailable(f"The store did not answer or could not write: {reason}") from error

    def _make_tables(self) -> None:
        if self._made:
            return
        with self._making:
            if self._made:
                return
            with self._engine.connect().execution_options(write=True) as connection, connection.begin():
                for table in self._metadata.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                    for index in table.indexes:
                        connection.execute(CreateIndex(index, if_not_exists=True))
            self._made = True


def _configure(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own; `_begin` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it returns
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
