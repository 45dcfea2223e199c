"""The HTTP client as its tests use it: a provider called Acme, and the error of a call that fails."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pushcart.errors import ProviderError
from pushcart.providers.http import Http
from support.step_calls import NOW


class Thing(msgspec.Struct):
    id: int
    name: str = ""


def client(url: str, **settings: Any) -> Http:
    return Http("Acme", url, lambda: NOW, **{"timeout": 0.3, "secret": "acme-key", **settings})


def failure(http: Http, *request: Any, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        http.call(*(request or ("POST", "/things", Thing)), **more)
    http.close()
    return raised.value
