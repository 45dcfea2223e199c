"""What every provider's contract is tested with: a server that says what it is told, a sandbox, a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.sandbox import Sandbox
from pushcart.store import Store, connect
from support.wire import Wire


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as running:
        yield running


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = connect(f"sqlite:///{tmp_path}/shop.db")
    yield opened
    opened.close()
