"""The shop's Autopay and the sandbox's were written apart from the same documentation: each understands the other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from local.sandbox import Sandbox
from pushcart.clock import to_instant
from pushcart.config import Config, Reads
from pushcart.providers.paylinks.autopay import Provider


@pytest.fixture
def shop(sb: Sandbox, tmp_path: Path) -> Provider:
    (tmp_path / "autopay-key").write_text(sb.autopay.key)
    variables = {"autopay_url": f"{sb.url}/autopay", "autopay_service_id": sb.autopay.service_id}
    reads = Reads(Provider.variables, may_need=Provider.secrets)
    return Provider(Config(reads, {**variables, "secret_mount_path": str(tmp_path)}))


@pytest.fixture
def link(sb: Sandbox, shop: Provider) -> str:
    soon = to_instant(sb.now() + timedelta(hours=1))
    return shop.link("ord_1", 4900, "EUR", description="Krem – żółty & miód", email="a+b@example.com", expires_at=soon)


def test_the_shops_link_opens_until_it_expires(sb: Sandbox, clock, link: str) -> None:
    page = requests.get(link, timeout=5)
    assert page.status_code == 200
    assert "<h1>Pay 49.00 EUR</h1>" in page.text
    assert "a+b@example.com" in page.text
    clock.advance(3600)
    assert requests.get(link, timeout=5).status_code == 410


def test_the_shop_understands_every_notification_and_its_answer_confirms_it(
    sb: Sandbox, shop: Provider, link: str, webhook
) -> None:
    webhook.answer = lambda body: shop.confirmation(shop.receive(body))["body"].encode()
    sb.autopay.itn_url = webhook.url
    sb.autopay.later(link)
    sb.autopay.settle("ord_1", success=False)
    paid = sb.autopay.pay("ord_1", amount=4899)
    sb.autopay.deliver()
    notices = [shop.receive(body).notices[0] for body, _ in webhook.got]
    assert [n.status for n in notices] == ["pending", "failed", "pending", "paid"]
    assert [d.error for d in sb.autopay.deliveries] == [None] * 4
    last = notices[-1]
    assert (last.order_id, last.reference, last.amount, last.currency) == ("ord_1", paid["remote_id"], 4899, "EUR")
    assert last.at == to_instant(sb.now())


def test_the_shop_knows_the_buyer_who_comes_back(sb: Sandbox, shop: Provider, link: str) -> None:
    sb.autopay.return_url = "https://shop.example/thank-you/"
    back = requests.post(link, data={"do": "pay"}, timeout=5, allow_redirects=False).headers["Location"]
    assert shop.returned(dict(parse_qsl(urlsplit(back).query))) == "ord_1"
