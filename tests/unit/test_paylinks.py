"""The seam for payment providers with signed links: what one has to bring, and what it gets for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from pushcart.config import SECRETS, VARIABLES, Config, Reads
from pushcart.domain.event import EventStatus
from pushcart.errors import BadRequest, BadSignature, StoreUnavailable
from pushcart.providers import paylinks
from pushcart.providers.paylinks import Message, Notice, PayLinks
from pushcart.repositories import Counters, Inbox
from pushcart.services.notifications import Notifications
from pushcart.store import connect
from support.databases import fresh
from support.processes import Clock

KEY = "platform-key-0123456789"


class Toy:
    """A second provider in the manner of Przelewy24: JSON, SHA-384 over JSON, answered with a plain OK."""

    name: ClassVar[str] = "toy"
    variables: ClassVar[tuple[str, ...]] = ("platform_url",)
    secrets: ClassVar[tuple[str, ...]] = ("platform-key",)
    currencies: ClassVar[frozenset[str]] = frozenset({"PLN"})

    def __init__(self, config: Config) -> None:
        self._config = config

    def link(self, order_id: str, amount: int, currency: str, *, description: str, email: str, expires_at: str) -> str:
        sign = self._sign({"sessionId": order_id, "amount": amount, "currency": currency})
        return f"{self._config['platform_url']}/{order_id}?amount={amount}&sign={sign}"

    def receive(self, body: bytes) -> Message:
        try:
            said = json.loads(body)
            given = said.pop("sign")
        except (ValueError, AttributeError, KeyError):
            raise BadRequest("no signed JSON") from None
        if given != self._sign(said):
            raise BadSignature("signed by somebody else")
        return Message(text=body.decode(), notices=list(self.notices(body.decode())))

    def confirmation(self, message: Message) -> dict[str, Any]:
        return {"statusCode": 200, "body": "OK", "headers": {"Content-Type": "text/plain"}}

    def returned(self, query: Mapping[str, str]) -> str | None:
        return None

    @staticmethod
    def notices(text: str) -> Sequence[Notice]:
        said = json.loads(text)
        return [
            Notice(
                order_id=said["sessionId"],
                reference=str(said["orderId"]),
                status="paid",
                amount=said["amount"],
                currency=said["currency"],
            )
        ]

    def _sign(self, said: dict[str, Any]) -> str:
        return hashlib.sha384(json.dumps({**said, "crc": self._config.secret("platform-key")}).encode()).hexdigest()


@pytest.fixture
def toy(tmp_path) -> PayLinks:
    (tmp_path / "platform-key").write_text(KEY)
    environ = {"secret_mount_path": str(tmp_path), "platform_url": "https://toy.example"}
    return Toy(Config(Reads(Toy.variables, may_need=Toy.secrets), environ))


@pytest.fixture
def store(tmp_path):
    store = connect(fresh("sqlite", tmp_path))
    yield store
    store.close()


def notifications(store, provider: PayLinks, *, livemode: bool = False) -> Notifications:
    clock = Clock()
    return Notifications(Inbox(store), Counters(store, clock), clock, provider, livemode=livemode)


def body(key: str = KEY, **changes: Any) -> bytes:
    said = {"sessionId": "o-1", "amount": 4900, "currency": "PLN", "orderId": 77, **changes}
    sign = hashlib.sha384(json.dumps({**said, "crc": key}).encode()).hexdigest()
    return json.dumps({**said, "sign": sign}).encode()


@pytest.mark.parametrize("livemode", [True, False])
def test_another_provider_goes_through_the_same_service_unchanged(store, toy, livemode):
    receipt = notifications(store, toy, livemode=livemode).receive(body())
    assert receipt.event_ids == ["toy:o-1.77.paid"]
    assert receipt.answer == {"statusCode": 200, "body": "OK", "headers": {"Content-Type": "text/plain"}}
    kept = Inbox(store).require("toy:o-1.77.paid")
    assert (kept.source, kept.event_id, kept.type) == ("toy", "o-1.77.paid", "payment.paid")
    assert (kept.object_type, kept.object_id, kept.livemode) == ("payment", "o-1", livemode)
    assert (kept.status, kept.due_at, kept.created_at) == (EventStatus.PENDING, "2026-11-21T08:00:00.000Z", None)
    assert [notice.amount for notice in Toy.notices(kept.body)] == [4900]


def test_a_repeat_is_confirmed_again_counted_and_not_stored_again(store, toy):
    service = notifications(store, toy)
    first, second = service.receive(body()), service.receive(body())
    assert first.answer == second.answer
    assert second.event_ids == []
    assert len(Inbox(store).list().items) == 1
    assert store.get("counters", "2026-11-21.toy.duplicate")["value"] == 1


def test_another_attempt_to_pay_the_same_order_is_another_event(store, toy):
    service = notifications(store, toy)
    service.receive(body())
    assert service.receive(body(orderId=78)).event_ids == ["toy:o-1.78.paid"]


def test_what_the_provider_did_not_sign_is_neither_stored_nor_confirmed(store, toy):
    with pytest.raises(BadSignature):
        notifications(store, toy).receive(body(key="somebody-else-0123456789"))
    assert Inbox(store).list().items == []


def test_a_store_that_is_down_leaves_the_notification_unconfirmed(store, toy):
    confirmed = []

    class Watched(Toy):
        def confirmation(self, message: Message) -> dict[str, Any]:
            confirmed.append(message)
            return super().confirmation(message)

    class Down:
        def add(self, event: object) -> bool:
            raise StoreUnavailable("the disk is full")

    clock = Clock()
    service = Notifications(Down(), Counters(store, clock), clock, Watched(toy._config), livemode=False)
    with pytest.raises(StoreUnavailable):
        service.receive(body())
    assert confirmed == []


def test_the_known_providers_are_the_modules_that_are_there():
    assert paylinks.known() == ["autopay"]


@pytest.mark.parametrize("name", paylinks.known())
def test_a_provider_is_found_by_its_name_and_declares_what_it_reads(name):
    provider = paylinks.provider(name)
    assert provider.name == name
    assert set(provider.variables) <= VARIABLES.keys()
    assert set(provider.secrets) <= SECRETS.keys()
    assert provider.secrets, "without a secret it could sign nothing"
    assert all(len(currency) == 3 and currency.isupper() for currency in provider.currencies)
