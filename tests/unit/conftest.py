"""What several unit tests start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pushcart.store import Store, connect
from support.till import Till


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    """An empty store in a file."""
    opened = connect(f"sqlite:///{tmp_path}/shop.db")
    yield opened
    opened.close()


@pytest.fixture
def till(store) -> Till:
    """A small shop's checkout and order-store on that store."""
    return Till(store)
