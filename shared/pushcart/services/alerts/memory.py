"""Incidents without a store, for the time it is away: the same verbs, in this process's memory."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping

from pushcart.store import Document


class Memory:
    """The part of the store's port that `Incidents` uses."""

    def __init__(self) -> None:
        self._documents: dict[tuple[str, str], Document] = {}
        self._lock = threading.Lock()

    def insert(self, collection: str, document: Document) -> bool:
        with self._lock:
            key = collection, document["id"]
            if key in self._documents:
                return False
            self._documents[key] = copy.deepcopy(document)
            return True

    def get(self, collection: str, id: str) -> Document | None:
        with self._lock:
            return copy.deepcopy(self._documents.get((collection, id)))

    def replace(self, collection: str, document: Document, version: int) -> bool:
        with self._lock:
            key = collection, document["id"]
            if self._documents.get(key, {}).get("version") != version:
                return False
            self._documents[key] = copy.deepcopy(document)
            return True

    def find(
        self,
        collection: str,
        *,
        equal: Mapping[str, str] | None = None,
        order_by: str,
        descending: bool = False,
        limit: int = 100,
    ) -> list[Document]:
        with self._lock:
            found = [
                copy.deepcopy(document)
                for (name, _), document in self._documents.items()
                if name == collection and all(document[field] == value for field, value in (equal or {}).items())
            ]
        return sorted(found, key=lambda document: document[order_by], reverse=descending)[:limit]
