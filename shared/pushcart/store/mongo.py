"""The store on MongoDB (4.4 or newer) through pymongo: one document is one document, `id` is its `_id`.

Every write waits until a majority of the servers has it in its journal, and every read gives only such writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bson.int64 import Int64
from pymongo import ASCENDING, DESCENDING, MongoClient, ReturnDocument
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import ConfigurationError as MongoConfigurationError
from pymongo.errors import DuplicateKeyError, InvalidURI, PyMongoError

from pushcart.errors import StoreUnavailable
from pushcart.store import COLLECTIONS, Document, no_address

#: The database when the URL names none.
DATABASE = "pushcart"

#: What the URL cannot soften: an acknowledged write is on the disks of a majority, a read shows only such writes.
#: https://www.mongodb.com/docs/manual/reference/write-concern/
_SAFETY: dict[str, Any] = {
    "w": "majority",
    "journal": True,
    "readConcernLevel": "majority",
    "readPreference": "primary",
}

#: Milliseconds each may take; a server that is down is known after the first.
_LIMITS: dict[str, Any] = {
    "serverSelectionTimeoutMS": 4_000,
    "connectTimeoutMS": 4_000,
    "socketTimeoutMS": 8_000,
    "waitQueueTimeoutMS": 4_000,
    "wTimeoutMS": 6_000,
    "maxPoolSize": 16,
}

_ESCAPED = re.compile(r"[%.$\0]")
_ESCAPES = re.compile(r"%([0-9A-F]{2})")


class MongoStore:
    """See `pushcart.store.Store`."""

    def __init__(self, url: str) -> None:
        try:
            self._client: MongoClient[Document] = MongoClient(
                url, connect=False, appname="pushcart", **_LIMITS, **_SAFETY
            )
            self._database = self._client.get_default_database(DATABASE)
        except (ValueError, InvalidURI, MongoConfigurationError):
            raise no_address("MongoDB") from None
        self._made = False

    def insert(self, collection: str, document: Document) -> bool:
        with self._errors():
            try:
                self._collection(collection).insert_one(_stored(document))
            except DuplicateKeyError:
                # Somebody else's insert may not have reached the majority yet, and could still be rolled back.
                if self._collection(collection).find_one({"_id": document["id"]}, {"_id": 1}) is None:
                    raise
                return False
        return True

    def get(self, collection: str, id: str) -> Document | None:
        with self._errors():
            found = self._collection(collection).find_one({"_id": id})
        return None if found is None else _read(found)

    def replace(self, collection: str, document: Document, version: int) -> bool:
        with self._errors():
            stored = _stored(document)
            result = self._collection(collection).replace_one({"_id": document["id"], "version": version}, stored)
        return result.matched_count == 1

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
        # Only texts are compared with a text, so documents without the field are left out.
        bounds = {"$gte": since or "", **({} if until is None else {"$lt": until})}
        wanted: dict[str, Any] = {**(equal or {}), order_by: bounds}
        return [_read(found) for found in self._sorted(collection, wanted, order_by, descending, after, limit)]

    def keys(
        self, collection: str, *, order_by: str, until: str, after: tuple[str, str] | None = None, limit: int = 100
    ) -> list[tuple[str, str]]:
        wanted = {order_by: {"$gte": "", "$lt": until}}
        found = self._sorted(collection, wanted, order_by, False, after, limit, {order_by: 1})
        return [(document[order_by], document["_id"]) for document in found]

    def _sorted(
        self,
        collection: str,
        wanted: dict[str, Any],
        order_by: str,
        descending: bool,
        after: tuple[str, str] | None,
        limit: int,
        fields: dict[str, int] | None = None,
    ) -> list[Document]:
        direction, beyond = (DESCENDING, "$lt") if descending else (ASCENDING, "$gt")
        if after is not None:
            value, id = after
            wanted = {**wanted, "$or": [{order_by: {beyond: value}}, {order_by: value, "_id": {beyond: id}}]}
        with self._errors():
            cursor = self._collection(collection).find(wanted, fields)
            return list(cursor.sort([(order_by, direction), ("_id", direction)]).limit(limit))

    def count(self, collection: str, equal: Mapping[str, str] | None = None) -> int:
        with self._errors():
            return self._collection(collection).count_documents(dict(equal or {}))

    def increment(self, collection: str, id: str, amount: int = 1) -> int:
        change = {"$inc": {"value": amount, "version": 1}}
        while True:
            with self._errors():
                try:
                    found = self._collection(collection).find_one_and_update(
                        {"_id": id}, change, upsert=True, return_document=ReturnDocument.AFTER
                    )
                except DuplicateKeyError:
                    continue  # another process has just made the document
            return int(found["value"])

    def delete(self, collection: str, id: str, version: int | None = None) -> bool:
        wanted = {"_id": id} if version is None else {"_id": id, "version": version}
        with self._errors():
            return self._collection(collection).delete_one(wanted).deleted_count == 1

    def ping(self) -> None:
        self.increment("counters", "store.ping", 0)

    def close(self) -> None:
        self._client.close()

    def _collection(self, name: str) -> MongoCollection[Document]:
        self._make_indexes()
        return self._database[name]

    def _make_indexes(self) -> None:
        if self._made:
            return
        for collection in COLLECTIONS.values():
            for fields in (*collection.indexes, *((field,) for field in collection.lists)):
                keys = [(field, ASCENDING) for field in (*fields, "_id")]
                self._database[collection.name].create_index(keys, name="_".join(fields))
        self._made = True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except PyMongoError as error:
            reason = str(error).partition(" (configured timeouts")[0]  # the rest repeats our own settings
            raise StoreUnavailable(f"The store did not answer or could not write: {reason}") from error


def _stored(document: Document) -> Document:
    stored: Document = _with_keys(document, _escape)
    stored["_id"] = stored.pop("id")
    return stored


def _read(found: Document) -> Document:
    document: Document = _with_keys(found, _unescape)
    document["id"] = document.pop("_id")
    return document


def _with_keys(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {change(key): _with_keys(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_keys(inner, change) for inner in value]
    # A number that takes 64 bits comes back as a type of bson's own, which nothing else can encode.
    return int(value) if type(value) is Int64 else value


def _escape(key: str) -> str:
    """Not every server takes a key with a dot, a dollar sign or NUL; what a platform answers may hold any."""
    return _ESCAPED.sub(lambda match: f"%{ord(match[0]):02X}", key)


def _unescape(key: str) -> str:
    return _ESCAPES.sub(lambda match: chr(int(match[1], 16)), key) if "%" in key else key
