"""The store on SQL through SQLAlchemy Core; `sqlite` and `postgresql` beside this module give it its engine.

Each collection is a table with the document as JSON text and one column for each indexed field; each list
field is a table of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from pushcart.errors import StoreUnavailable
from pushcart.store import COLLECTIONS, Collection, Document
from pushcart.store.groupcommit import GroupCommit

T = TypeVar("T")

#: One write: what it does in a transaction, and what it gives.
Work = Callable[[sa.Connection], T]

#: Compared byte by byte everywhere, as instants and ids have to be; PostgreSQL would go by the language's alphabet.
_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

#: Characters of an indexed value that count; PostgreSQL's indexes take 2,700 bytes.
_INDEXED = 500


class _Statement:
    """A statement whose SQL is made once; to look it up at each use costs more than SQLite takes to insert."""

    def __init__(self, statement: Any, dialect: sa.Dialect, columns: list[str]) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        self._sql, self._order = str(compiled), compiled.positiontup

    def run(self, connection: sa.Connection, values: dict[str, Any]) -> int:
        """How many rows it concerned."""
        given: Any = values if self._order is None else tuple(values[name] for name in self._order)
        return connection.exec_driver_sql(self._sql, given).rowcount


class _Tables:
    """The tables of one collection."""

    def __init__(
        self, collection: Collection, metadata: sa.MetaData, dialect: sa.Dialect, insert: Callable[[sa.Table], Any]
    ) -> None:
        columns = [sa.Column(field, _Text) for field in collection.fields]
        self.main = sa.Table(
            collection.name,
            metadata,
            sa.Column("id", _Text, primary_key=True),
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
                sa.Column("value", _Text, primary_key=True),
                sa.Column("id", _Text, primary_key=True, index=True),
            )
            for field in collection.lists
        }
        self.fields = collection.fields
        names = [column.name for column in self.main.columns]
        self.insert_if_absent = _Statement(insert(self.main).on_conflict_do_nothing(), dialect, names)
        mine = self.main.c.id == sa.bindparam("the_id"), self.main.c.version == sa.bindparam("the_version")
        self.replace = _Statement(sa.update(self.main).where(*mine), dialect, names)

    def row(self, document: Document) -> dict[str, Any]:
        indexed = {field: _indexed(document.get(field)) for field in self.fields}
        body = msgspec.json.encode(document).decode()
        return {"id": document["id"], "version": document["version"], "body": body, **indexed}


class SqlStore:
    """See `pushcart.store.Store`. `insert` is the dialect's own, which knows `ON CONFLICT DO NOTHING`.

    With `one_writer`, writes that come at the same time share a transaction.
    """

    def __init__(self, engine: sa.Engine, insert: Callable[[sa.Table], Any], *, one_writer: bool) -> None:
        self._metadata = sa.MetaData()
        self._tables = {
            name: _Tables(collection, self._metadata, engine.dialect, insert)
            for name, collection in COLLECTIONS.items()
        }
        self._engine = engine
        self._group = GroupCommit(self._connection) if one_writer else None
        self._made = False

    def insert(self, collection: str, document: Document) -> bool:
        tables = self._tables[collection]
        row = tables.row(document)

        def work(connection: sa.Connection) -> bool:
            inserted = tables.insert_if_absent.run(connection, row) == 1
            if inserted:
                self._write_lists(connection, tables, document, new=True)
            return inserted

        return self._write(work)

    def get(self, collection: str, id: str) -> Document | None:
        table = self._tables[collection].main
        with self._read() as connection:
            body = connection.execute(sa.select(table.c.body).where(table.c.id == id)).scalar()
        return None if body is None else msgspec.json.decode(body)

    def replace(self, collection: str, document: Document, version: int) -> bool:
        tables = self._tables[collection]
        row = {**tables.row(document), "the_id": document["id"], "the_version": version}

        def work(connection: sa.Connection) -> bool:
            replaced = tables.replace.run(connection, row) == 1
            if replaced:
                self._write_lists(connection, tables, document, new=False)
            return replaced

        return self._write(work)

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
        tables = self._tables[collection]
        table = tables.main
        empty = tables.row({"id": id, "version": 0, "value": 0})

        def work(connection: sa.Connection) -> int:
            tables.insert_if_absent.run(connection, empty)
            locked = sa.select(table.c.body).where(table.c.id == id).with_for_update()
            document = msgspec.json.decode(connection.execute(locked).scalar_one())
            read = document["version"]
            document.update(value=document["value"] + amount, version=read + 1)
            tables.replace.run(connection, {**tables.row(document), "the_id": id, "the_version": read})
            return int(document["value"])

        return self._write(work)

    def delete(self, collection: str, id: str, version: int | None = None) -> bool:
        tables = self._tables[collection]
        condition = [tables.main.c.id == id]
        if version is not None:
            condition.append(tables.main.c.version == version)

        def work(connection: sa.Connection) -> bool:
            deleted = connection.execute(sa.delete(tables.main).where(*condition)).rowcount == 1
            for lists in tables.lists.values() if deleted else ():
                connection.execute(sa.delete(lists).where(lists.c.id == id))
            return deleted

        return self._write(work)

    def ping(self) -> None:
        self.increment("counters", "store.ping", 0)

    def close(self) -> None:
        if self._group is not None:
            self._group.close()
        self._engine.dispose()

    def _conditions(self, collection: str, equal: Mapping[str, str] | None) -> list[sa.ColumnElement[bool]]:
        tables = self._tables[collection]
        conditions: list[sa.ColumnElement[bool]] = []
        for field, value in (equal or {}).items():
            if field in tables.lists:
                lists = tables.lists[field]
                having = sa.select(lists.c.id).where(lists.c.value == _indexed(value))
                conditions.append(tables.main.c.id.in_(having))
            else:
                conditions.append(tables.main.c[field] == _indexed(value))
        return conditions

    @staticmethod
    def _write_lists(connection: sa.Connection, tables: _Tables, document: Document, *, new: bool) -> None:
        for field, lists in tables.lists.items():
            if not new:
                connection.execute(sa.delete(lists).where(lists.c.id == document["id"]))
            values = dict.fromkeys(map(_indexed, document.get(field) or ()))
            rows = [{"value": value, "id": document["id"]} for value in values]
            if rows:
                connection.execute(sa.insert(lists), rows)

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._errors():
            self._make_tables()
            with self._engine.connect() as connection:
                yield connection

    def _write(self, work: Work[T]) -> T:
        with self._errors():
            self._make_tables()
            if self._group is not None:
                return self._group.run(work)
            with self._connection() as connection, connection.begin():
                return work(connection)

    def _connection(self, **options: bool) -> sa.Connection:
        """A connection whose transactions write."""
        return self._engine.connect().execution_options(write=True, **options)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__)
            raise StoreUnavailable(f"The store did not answer or could not write: {reason}") from error

    def _make_tables(self) -> None:
        if self._made:
            return
        with self._connection(tables=True) as connection, connection.begin():
            for table in self._metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
        self._made = True


def _indexed(value: str | None) -> str | None:
    """The value as its column holds it: PostgreSQL's texts have no NUL, and its indexes a limit."""
    return None if value is None else value.replace("\0", "")[:_INDEXED]
