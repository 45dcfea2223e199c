"""Clients that depend on shop.yml, which may change while the function runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pushcart.domain.catalogue import Catalogue

T = TypeVar("T")


class FromShop(Generic[T]):
    """Called, it gives what `build` makes of the catalogue; built anew when `shop` gives another one. Thread-safe."""

    def __init__(self, shop: Callable[[], Catalogue], build: Callable[[Catalogue], T]) -> None:
        self._shop = shop
        self._build = build
        self._lock = threading.Lock()
        self._source = shop()
        self._built = build(self._source)

    def __call__(self) -> T:
        with self._lock:
            catalogue = self._shop()
            if catalogue is not self._source:
                self._built, self._source = self._build(catalogue), catalogue
            return self._built
