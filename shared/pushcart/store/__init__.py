"""The store: a handful of verbs on documents, the same on every database.

A document is a JSON object with `id` (text) and `version` (integer). Every verb is atomic on one document
and nothing needs more, so adapters need no transactions across documents. A write returns after it is
durable; when it may not be, the verb raises `StoreUnavailable` and the caller must not acknowledge anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pushcart.errors import ConfigurationError

Document = dict[str, Any]


@dataclass(frozen=True)
class Collection:
    """A collection and what it is found by.

    `indexes` are tuples of top-level text fields (None is allowed and matches no range); the last field of
    each is what results can be sorted by. `lists` are top-level lists of text, found by one of their items.
    """

    name: str
    indexes: tuple[tuple[str, ...], ...] = ()
    lists: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """Every indexed field once."""
        return tuple(dict.fromkeys(field for index in self.indexes for field in index))


COLLECTIONS = {
    collection.name: collection
    for collection in (
        Collection("inbox", indexes=(("due_at",), ("received_at",), ("status", "received_at"))),
        Collection(
            "orders",
            indexes=(
                ("due_at",),
                ("created_at",),
                ("payment_status", "created_at"),
                ("fulfilment_status", "created_at"),
                ("email", "created_at"),
                ("session_id", "created_at"),
                ("payment_intent", "created_at"),
            ),
            lists=("skus",),
        ),
        Collection("counters"),
        Collection("heartbeats"),
        Collection("locks"),
        Collection("tokens"),
        Collection("stock"),
        Collection("traffic"),
        Collection("cursors"),
        Collection("measures"),
        Collection("incidents", indexes=(("state", "opened_at"),)),
    )
}


class Store(Protocol):
    """The port. All verbs raise `StoreUnavailable` when the database does not answer or cannot write."""

    def insert(self, collection: str, document: Document) -> bool:
        """Stores a new document durably; False, changing nothing, when its id is taken."""

    def get(self, collection: str, id: str) -> Document | None:
        """The document, or None."""

    def replace(self, collection: str, document: Document, version: int) -> bool:
        """Replaces the document durably if the stored version is `version`; else False, changing nothing."""

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
        """Documents whose indexed fields equal `equal`, sorted by `order_by`, then id.

        `since` (inclusive) and `until` (exclusive) bound `order_by`; documents without it are left out.
        `after` is the (`order_by`, id) of the last document of the page before. In `equal`, a list field
        matches when the list holds the value.
        """

    def keys(
        self, collection: str, *, order_by: str, until: str, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str]]:
        """(`order_by`, id) of documents with `order_by` before `until`, in that order; no document is read."""

    def count(self, collection: str, equal: Mapping[str, str] | None = None) -> int:
        """How many documents match."""

    def increment(self, collection: str, id: str, amount: int = 1) -> int:
        """Adds to the field `value` of a document that is made when it is not there; returns the new value."""

    def delete(self, collection: str, id: str, version: int | None = None) -> bool:
        """Deletes the document (only at `version`, if given); False when there was none."""

    def ping(self) -> None:
        """Returns when the store can be read and written."""

    def close(self) -> None:
        """Gives the connections back."""


def no_address(database: str) -> ConfigurationError:
    """The error for a `store-url` its driver cannot read; not in the driver's words, which may quote the password."""
    hint = "write / : @ and % in its password as %2F %3A %40 %25"
    return ConfigurationError([f"the secret store-url is no address of a {database}; {hint}"])


def connect(url: str) -> Store:
    """The adapter for a database URL. Connects at first use, so that a store that is down is a 503, not a crash.

    Raises `ConfigurationError` for a kind of database there is no adapter for.
    """
    # Only the adapter that is used is imported: each costs more than 10 MiB in every function that has a store.
    kind = url.partition(":")[0]
    if kind == "sqlite":
        from pushcart.store import sqlite

        return sqlite.store(url)
    if kind in ("postgresql", "postgres", "postgresql+psycopg"):
        from pushcart.store import postgresql

        return postgresql.store(url)
    if kind in ("mongodb", "mongodb+srv"):
        from pushcart.store.mongo import MongoStore

        return MongoStore(url)
    raise ConfigurationError(
        [f"the secret store-url begins with {kind!r}; use sqlite:////path/file.db, postgresql://... or mongodb://..."]
    )
