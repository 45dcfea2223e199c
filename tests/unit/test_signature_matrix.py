"""Every way a Stripe-Signature can be: what was not signed by Stripe, now, over exactly these bytes, is refused.

The headers are made by the SDK; the clock of the SDK and ours stand still, so that a second decides.
What the whole chain answers is in tests/chain/test_webhook.py.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import requests
import stripe

from pushcart.errors import BadRequest, BadSignature, ConfigurationError, WrongMode
from pushcart.repositories import Counters, Inbox
from pushcart.services.stripe_inbox import StripeInbox, verify
from pushcart.store import connect
from support.databases import fresh
from support.processes import Clock
from support.step_calls import ROOT, environment
from unit.template.template_process import TemplateProcess

NOW = 1_795_248_000
SECRET, OTHER = "whsec_current", "whsec_previous"
BODY = '{"id": "evt_1", "name": "Żółw"}'


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    """The SDK asks the machine's clock, which cannot be told the time."""
    monkeypatch.setattr("stripe._webhook.time", SimpleNamespace(time=lambda: float(NOW)))


def signed(body: str = BODY, secret: str = SECRET, at: int = NOW) -> str:
    return stripe.WebhookSignature.generate_signature_header(body, secret, timestamp=at)


def part(header: str, name: str = "v1") -> str:
    """The `name=value` of a header."""
    return next(one for one in header.split(",") if one.startswith(f"{name}="))


def check(header: str | None, body: bytes = BODY.encode(), secrets=(SECRET,), now: float = NOW) -> None:
    verify(body, header, list(secrets), wall_time=lambda: now)


@pytest.mark.parametrize("at", [NOW - 300, NOW - 299, NOW, NOW + 299, NOW + 300])
def test_a_signature_up_to_three_hundred_seconds_old_or_early_is_accepted(at):
    check(signed(at=at))


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (NOW - 301, "outside the tolerance"),
        (NOW - 86_400, "outside the tolerance"),
        (0, "outside the tolerance"),
        (NOW + 301, "from the future"),
        (NOW + 86_400, "from the future"),
        (999_999_999_999, "from the future"),
    ],
)
def test_one_second_more_on_either_side_is_refused_and_told_which(at, reason):
    with pytest.raises(BadSignature, match=reason):
        check(signed(at=at))


ACCEPTED = {
    "the second of two v1": lambda: f"t={NOW},v1={'0' * 64},{part(signed())}",
    "the first of two v1": lambda: f"{signed()},v1={'0' * 64}",
    "a v0 beside it, as in test mode": lambda: f"{signed()},v0={'f' * 64}",
    "a scheme of the future beside it": lambda: f"{signed()},v2=anything",
    "v1 before t": lambda: f"{part(signed())},t={NOW}",
    "a comma at the end": lambda: f"{signed()},",
    "both secrets' signatures during Stripe's rotation": lambda: f"{signed(secret=OTHER)},{part(signed())}",
    "t twice, the same": lambda: f"{signed()},t={NOW}",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_header_with_one_signature_that_fits_is_accepted(name):
    check(ACCEPTED[name]())


REFUSED = {
    "none": lambda: None,
    "empty": lambda: "",
    "blank": lambda: "   ",
    "a word": lambda: "signature",
    "commas only": lambda: ",,,",
    "no t": lambda: part(signed()),
    "no signature": lambda: f"t={NOW}",
    "an empty v1": lambda: f"t={NOW},v1=",
    "v0 only": lambda: signed().replace("v1=", "v0="),
    "v2 only": lambda: signed().replace("v1=", "v2="),
    "another secret": lambda: signed(secret="whsec_other"),
    "the secret without its prefix": lambda: signed(secret=SECRET.removeprefix("whsec_")),
    "another body": lambda: signed(body=BODY.replace("1", "2")),
    "an empty body": lambda: signed(body=""),
    "the body as another library writes it": lambda: signed(body=json.dumps(json.loads(BODY))),
    "the body with a line's end": lambda: signed(body=BODY + "\n"),
    "half of it": lambda: signed()[:-32],
    "one character too many": lambda: signed() + "0",
    "in capitals": lambda: f"t={NOW},v1={part(signed())[3:].upper()}",
    "of another second": lambda: signed().replace(f"t={NOW}", f"t={NOW - 1}"),
    "t twice, the first another": lambda: f"t={NOW - 1},{signed()}",
    "t twice, the first no number": lambda: f"t=now,{signed()}",
    "t negative": lambda: signed().replace("t=", "t=-"),
    "t with a point": lambda: signed().replace(f"t={NOW}", f"t={NOW}.0"),
    "t of other digits": lambda: signed().replace(f"t={NOW}", "t=" + str(NOW).translate(str.maketrans("1", "١"))),
    "t longer than any clock": lambda: signed(at=10**15),
    "letters beyond ASCII": lambda: signed() + ",v1=żółw",
    "spaces after the commas": lambda: signed().replace(",", ", ").replace("v1=", "v 1="),
    "a name twice over": lambda: f"t=t={NOW},{part(signed())}",
    "ten thousand wrong ones": lambda: f"t={NOW}" + f",v1={'0' * 64}" * 10_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_any_other_header_is_refused_as_a_bad_signature_and_nothing_else(name):
    with pytest.raises(BadSignature):
        check(REFUSED[name]())


@pytest.mark.parametrize("secrets", [(SECRET, OTHER), (OTHER, SECRET)])
@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_while_a_secret_is_rotated_each_of_the_two_is_accepted_whichever_comes_first(secrets, secret):
    check(signed(secret=secret), secrets=secrets)


def test_once_the_previous_secret_is_removed_it_is_refused():
    with pytest.raises(BadSignature):
        check(signed(secret=OTHER), secrets=(SECRET,))


def test_the_age_is_judged_for_each_secret_not_only_for_the_last_one_tried():
    for secrets in ((SECRET, OTHER), (OTHER, SECRET)):
        with pytest.raises(BadSignature):
            check(signed(at=NOW - 301), secrets=secrets)


@pytest.mark.parametrize("secrets", [(), ("",), (SECRET, ""), ("", SECRET)])
def test_an_empty_secret_among_them_is_our_mistake_and_never_a_key(secrets):
    with pytest.raises(ConfigurationError, match="would accept anybody"):
        check(signed(secret=""), secrets=secrets)


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"id": "\xc3"}', "ż".encode("utf-16")])
def test_a_body_that_is_no_text_is_a_bad_request_before_any_key_is_tried(body):
    with pytest.raises(BadRequest):
        check(signed(), body=body)


def test_bytes_are_signed_as_they_are_with_a_mark_a_nul_and_a_carriage_return():
    for body in ("\ufeff{}", '{"a": "\u0000"}', '{\r\n"a": 1}\r\n'):
        check(signed(body=body), body=body.encode())


@pytest.mark.parametrize("livemode", [True, False])
def test_a_well_signed_event_of_the_other_mode_is_refused_and_kept_nowhere(tmp_path, monkeypatch, livemode):
    """Not acknowledged: Stripe then shows the owner that the endpoint and the installation do not fit."""
    store = connect(fresh("sqlite", tmp_path))
    clock = Clock()
    inbox = Inbox(store)
    receive = StripeInbox(inbox, Counters(store, clock), clock, livemode=livemode).receive
    monkeypatch.setattr("time.time", lambda: float(NOW))
    about = {"id": "cs_1", "object": "checkout.session"}
    for kind in ("checkout.session.completed", "invoice.paid"):
        event = {"id": "evt_1", "type": kind, "livemode": not livemode, "data": {"object": about}}
        with pytest.raises(WrongMode, match="live event" if not livemode else "test event"):
            receive(json.dumps(event).encode(), signed(json.dumps(event)), [SECRET])
    assert inbox.list().items == []
    store.close()


def test_a_body_of_one_megabyte_is_a_413_at_the_process_and_nothing_of_it_is_kept(tmp_path):
    """The process that runs on a server: our template around the real handler."""
    url = fresh("sqlite", tmp_path)
    secrets = {"internal-key": "k" * 40, "store-url": url, "stripe-webhook-secret": SECRET}
    given = environment(tmp_path / "secrets", "stripe-webhook", secrets, gateway_url="http://127.0.0.1:9")
    folder = tmp_path / "process"
    folder.mkdir()
    source = (ROOT / "functions" / "stripe-webhook" / "handler.py").read_text()
    process = TemplateProcess(folder, source, {**given, "PYTHONPATH": str(ROOT / "shared")})
    try:
        for size in (524_289, 1_000_000, 1_048_577):
            body = b" " * size
            header = {"Stripe-Signature": signed(body.decode())}
            assert requests.post(process.url, data=body, headers=header, timeout=20).status_code == 413, size
    finally:
        process.close()
    store = connect(url)
    assert Inbox(store).list().items == []
    store.close()
