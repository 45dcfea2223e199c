"""What the doctor asks each provider: it changes nothing there, and tells a good account from a useless one."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import ProviderError, ProviderRefused, ProviderUnavailable
from pushcart.providers.apprise_push import ApprisePush
from pushcart.providers.http import Http
from pushcart.providers.kit_v3 import KitV3
from pushcart.providers.printful import Printful
from pushcart.providers.sendgrid_mail import SendGridMail
from pushcart.providers.signed_http import SignedHttp
from pushcart.providers.smtp_mail import SmtpMail
from pushcart.store import Store
from support.invites import platforms
from support.kit import in_sandbox
from support.mail_server import Keeper, MailServer
from support.shop import SHOP, catalogue
from support.step_calls import NOW
from support.wire import Wire

SENDER = "studio@meadow.example"


def clock() -> Any:
    return NOW


@pytest.fixture(scope="module")
def shop() -> Catalogue:
    """A shop with two Thinkific courses."""
    first = "{step: invite, platform: thinkific, course: 7}"
    second = "{step: invite, id: b, platform: thinkific, course: 8}"
    text = SHOP.replace("- {step: invite, platform: discourse}", f"- {first}\n      - {second}")
    return catalogue(text.replace("platforms:\n", "platforms:\n  thinkific: {subdomain: meadow}\n"))


def platform(sandbox: Sandbox, name: str) -> Any:
    url = sandbox.url
    return platforms(f"{url}/discourse", f"{url}/thinkific", f"{url}/platform/hook", clock)[name]


# The course platforms


def test_discourse_is_asked_for_nobody(sandbox: Sandbox, shop: Catalogue) -> None:
    assert "answers and accepts the key" in platform(sandbox, "discourse").check(shop)
    (call,) = sandbox.calls("discourse")
    assert (call.method, call.query) == ("GET", {"email": "nobody@pushcart.invalid"})


def test_thinkific_has_to_have_every_course(sandbox: Sandbox, shop: Catalogue) -> None:
    assert platform(sandbox, "thinkific").check(shop) == "accepts the key and has Course 7, Course 8"
    sandbox.fault("thinkific", "status", status=404, path="/courses/8$")
    with pytest.raises(ProviderRefused, match=r"courses/8: 404 Record not found"):
        platform(sandbox, "thinkific").check(shop)


def test_an_own_platform_only_has_to_listen(sandbox: Sandbox, shop: Catalogue) -> None:
    assert "something listens at" in platform(sandbox, "http").check(shop)
    assert sandbox.calls("platform") == []


def own(url: str, shop: Catalogue) -> str:
    return SignedHttp(Http("your platform", url, clock, timeout=1, secret="platform-key"), clock, str).check(shop)


def test_an_own_platform_that_cannot_be_reached_is_told_with_the_reason(shop: Catalogue) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ProviderUnavailable, match=f"no connection to 127.0.0.1:{port} \\(Connection refused\\)"):
        own(f"http://127.0.0.1:{port}/hook", shop)
    with pytest.raises(ProviderUnavailable, match=r"no connection to nowhere\.invalid:443"):
        own("https://nowhere.invalid/hook", shop)
    with pytest.raises(ProviderRefused, match="is not an address that can be called"):
        own("https://[nowhere/hook", shop)


def test_an_own_platform_without_a_certificate_we_trust_is_red(wire: Wire, shop: Catalogue) -> None:
    with pytest.raises(ProviderUnavailable, match=r"no safe connection to 127\.0\.0\.1"):
        own(wire.say(200).url.replace("http://", "https://"), shop)


# Kit


def test_kit_v4_is_asked_with_the_token_it_gave(sandbox: Sandbox, store: Store) -> None:
    kit = in_sandbox(sandbox, store).kit
    assert kit.check() == "accepts our access token"
    sandbox.kit.expire_access_token()
    assert kit.check() == "accepts our access token"
    sandbox.kit.expire_access_token()
    sandbox.kit.revoke_refresh_token()
    with pytest.raises(ProviderRefused, match="authorise the app again"):
        kit.check()


def test_kit_v3_is_asked_with_the_secret(sandbox: Sandbox) -> None:
    secret = "secret-1"
    kit = KitV3(Http("Kit", f"{sandbox.url}/kit", clock, timeout=2, secret="kit-api-secret"), lambda: secret)
    assert kit.check() == "accepts the API secret"
    secret = ""
    with pytest.raises(ProviderRefused, match="look at the secret kit-api-secret"):
        kit.check()


# Printful


def printful(sandbox: Sandbox, store: str = "", key: str = "printful-token") -> Printful:
    http = Http("Printful", f"{sandbox.url}/printful", clock, timeout=2, secret="printful-api-key")
    return Printful(http, lambda: key, store)


def test_printful_is_asked_for_its_orders_and_its_store(sandbox: Sandbox) -> None:
    assert printful(sandbox, "952434").check() == "accepts the token for Pushcart sandbox; 0 orders"
    assert [(call.method, call.path) for call in sandbox.calls("printful")] == [("GET", "/orders"), ("GET", "/stores")]


def test_printfuls_token_has_to_be_known_and_to_open_the_store_that_is_named(sandbox: Sandbox) -> None:
    sandbox.printful.configure(token="another")
    with pytest.raises(ProviderRefused, match="look at the secret printful-api-key"):
        printful(sandbox).check()
    sandbox.printful.configure(token=None)
    sandbox.fault("printful", "status", status=403, path="/stores")
    assert "Which store it is for, this token may not see" in printful(sandbox).check()
    with pytest.raises(ProviderRefused):
        printful(sandbox, "7").check()


# The alerts


def test_an_address_for_alerts_is_looked_at_and_nothing_is_sent(sandbox: Sandbox) -> None:
    push = ApprisePush(f"{sandbox.url}/twilio")
    push.check(f"twilio://AC{'0' * 32}:{'0' * 32}@48500100200/48500300400")
    for address, told in (("twilio://AC1:hushed@1/2", "Apprise cannot use"), ("syslog://", "reaches nobody")):
        with pytest.raises(ProviderRefused, match=told) as refused:
            push.check(address)
        assert "hushed" not in refused.value.message
    assert sandbox.messages() == []


# The mails


def test_sendgrids_key_has_to_be_one_that_may_send(sandbox: Sandbox, wire: Wire) -> None:
    def check(url: str) -> str:
        return SendGridMail(url, lambda: "SG.key", clock, timeout=2).check(SENDER)

    assert check(f"{sandbox.url}/sendgrid") == "accepts the key, which may send mails"
    wire.say(200, {"scopes": ["templates.read"]}).say(200, b"<html>").say(401, {"errors": [{"message": "no"}]})
    for error, told in (
        (ProviderRefused, "the key may not send mails"),
        (ProviderUnavailable, "look at sendgrid_url"),
        (ProviderRefused, "look at the secret sendgrid-api-key"),
    ):
        with pytest.raises(error, match=told):
            check(wire.url)
    assert {seen.path for seen in wire.seen} == {"/v3/scopes"}


def smtp(port: int, **changes: Any) -> SmtpMail:
    settings = {"security": "none", "username": "", "password": lambda: "", "timeout": 2, **changes}
    return SmtpMail("127.0.0.1", port, clock, **settings)


def test_smtp_is_greeted_and_left_without_a_mail(sandbox: Sandbox) -> None:
    assert smtp(sandbox.smtp_port).check(SENDER) == f"127.0.0.1:{sandbox.smtp_port} answers"
    assert (sandbox.mails(), sandbox.calls("smtp")) == ([], [])


def test_smtp_has_to_take_the_login() -> None:
    keeper = Keeper()
    with MailServer(keeper, authenticator=keeper.authenticate, auth_require_tls=False) as server:
        good = smtp(server.port, username="shop", password=lambda: "right")
        assert good.check(SENDER).endswith("answers and accepts the login")
        with pytest.raises(ProviderRefused, match="smtp-password"):
            smtp(server.port, username="shop", password=lambda: "wrong").check(SENDER)
    assert keeper.mails == []
    with pytest.raises(ProviderUnavailable, match="no connection"):
        good.check(SENDER)


def test_smtp_without_the_encryption_that_is_asked_for_is_red(sandbox: Sandbox) -> None:
    with pytest.raises(ProviderError, match="smtp_security"):
        smtp(sandbox.smtp_port, security="starttls").check(SENDER)


def test_what_a_check_says_holds_no_key(sandbox: Sandbox, shop: Catalogue, store: Store) -> None:
    said = [platform(sandbox, name).check(shop) for name in ("discourse", "thinkific", "http")]
    said += [in_sandbox(sandbox, store).kit.check(), printful(sandbox, key="0123456789-token").check()]
    assert not any(secret in json.dumps(said) for secret in ("key-1", "kit_access", "0123456789"))
