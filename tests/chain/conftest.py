"""One shop for all chain tests: functions as processes behind the local gateway, providers in the sandbox.

Every test is a buyer with an address of its own, so tests do not see one another.
"""

from __future__ import annotations

import pytest
import requests

from local.shop import LocalShop
from support.customers import Customer


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    with LocalShop(tmp_path_factory.mktemp("shop"), catch_up=False) as shop:
        yield shop


@pytest.fixture
def customer(shop):
    return Customer(shop)


@pytest.fixture
def post_event(shop):
    """Posts raw bytes to the webhook as anybody could."""

    def post(body: bytes, headers: dict[str, str]) -> requests.Response:
        return requests.post(f"{shop.gateway.url}/function/stripe-webhook", data=body, headers=headers, timeout=20)

    return post
