"""email-dispatch as order-store calls it: signed requests in, real mails out at a real server."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from local.sandbox import Sandbox
from pushcart import shopfile
from pushcart.domain.order import Buyer
from pushcart.errors import ConfigurationError
from support import mail_samples as samples
from support.doctor import examine
from support.step_calls import INTERNAL_KEY, ROOT, environment, load_handler, run

NAME = "email-dispatch"
SECRETS = {"internal-key": INTERNAL_KEY, "sendgrid-api-key": "SG.test-key"}


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def start(sandbox: Sandbox, tmp_path, monkeypatch) -> Callable[..., ModuleType]:
    """Starts the function with these secrets and variables."""

    def run_start(secrets: dict[str, str] | None = None, **variables: str) -> ModuleType:
        settings = {"sendgrid_url": f"{sandbox.url}/sendgrid", "provider_timeout": "5", **variables}
        for name, value in environment(tmp_path / "secrets", NAME, secrets or SECRETS, **settings).items():
            monkeypatch.setenv(name, value)
        handler = load_handler(NAME)
        handler.start()
        return handler

    return run_start


@pytest.fixture
def own_shop(tmp_path) -> Callable[..., str]:
    """A shop.yml of one's own with its mails; gives its path."""

    def write(changes: dict[str, str] | None = None, **mails: str) -> str:
        text = (shopfile.PACKED / "shop.yml").read_text()
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        folder = tmp_path / "shop"
        (folder / "mails").mkdir(parents=True)
        for path in samples.MAILS.iterdir():
            (folder / "mails" / path.name).write_text(path.read_text())
        for name, mail in mails.items():
            (folder / "mails" / name.replace("__", ".")).write_text(mail)
        (folder / "shop.yml").write_text(text)
        return str(folder / "shop.yml")

    return write


def call(handler: ModuleType, name: str, view: Any = None, **changes: Any) -> dict[str, Any]:
    return run(handler, NAME, samples.request(name, view, **changes))


def error_of(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["body"]["error"]


@pytest.mark.parametrize("name", samples.NAMES)
def test_every_mail_of_ours_goes_out(start, sandbox, name):
    answer = call(start(), name)
    assert answer["statusCode"] == 200
    to = "admins" if name in samples.ADMIN_MAILS else "buyer"
    assert answer["body"]["note"] == f"{name} sent to the {to}"
    [mail] = sandbox.mails()
    result = answer["body"]["result"]
    assert (result["to"], result["count"], result["via"]) == (to, 1, "sendgrid")
    assert mail.id.startswith(result["message_id"])
    assert mail.to == ["ada@example.org" if to == "buyer" else "owner@meadow-pottery.example"]
    assert mail.reply_to == ("help@meadow-pottery.example" if to == "buyer" else "")
    assert mail.from_ == "Meadow Pottery School <studio@meadow-pottery.example>"
    assert mail.custom_args["order_id"] == samples.ORDER_ID


def test_no_address_is_in_result_note_or_log_fields(start, sandbox):
    for transport in (
        {},
        {
            "mail_transport": "smtp",
            "smtp_host": "127.0.0.1",
            "smtp_port": str(sandbox.smtp_port),
            "smtp_security": "none",
        },
    ):
        answer = call(start(**transport), "receipt")
        assert answer["statusCode"] == 200
        assert "@" not in str(answer["body"])


def test_the_invitation_of_the_step_before_is_in_the_mail(start, sandbox):
    call(start(), "your-access")
    [mail] = sandbox.mails("ada@example.org")
    assert samples.INVITE in mail.text
    assert f'href="{samples.INVITE}"' in mail.html


def test_a_buyer_reads_amounts_in_their_locale_and_the_admins_in_the_shops(start, sandbox):
    handler = start()
    call(handler, "receipt", samples.rich_order())
    call(handler, "owners-notice", samples.rich_order())
    to_buyer, to_owner = sandbox.mails()
    assert "241,91\xa0€" in to_buyer.text
    assert "€241.91" in to_owner.text


def test_a_variant_in_the_buyers_language_is_used(start, sandbox, own_shop):
    path = own_shop(
        receipt__pl__txt="Subject: Twój rachunek\n\nDziękujemy",
        receipt__pl__html="<p lang={{ lang }}>Dziękujemy",
    )
    call(start(shop_file=path), "receipt", samples.rich_order())
    assert (sandbox.mails()[0].subject, sandbox.mails()[0].html) == (
        "Twój rachunek",
        "<p lang=pl>Dziękujemy\n",
    )


def test_several_admins_get_one_mail_and_nobody_two(start, sandbox, own_shop):
    three = "admins: [a@meadow.example, b@meadow.example, A@meadow.example]"
    path = own_shop({"admins: [owner@meadow-pottery.example]": three})
    answer = call(start(shop_file=path), "owners-notice")
    assert answer["body"]["result"]["count"] == 2
    assert len(sandbox.calls("sendgrid")) == 1
    assert sorted(sandbox.mails()[0].to, key=str.lower) == ["A@meadow.example", "b@meadow.example"]


def test_a_notice_without_an_order_reaches_the_admins(start, sandbox):
    problem = samples.problem("pushcart events replay evt_1")
    answer = call(start(), "something-needs-you", order=None, lines=[], problem=problem)
    assert answer["statusCode"] == 200
    assert "pushcart events replay evt_1" in sandbox.mails()[0].text
    assert "order_id" not in sandbox.mails()[0].custom_args


def test_smtp_sends_the_same_mail(start, sandbox):
    handler = start(
        {"internal-key": INTERNAL_KEY, "smtp-password": "unused"},
        mail_transport="smtp",
        smtp_host="127.0.0.1",
        smtp_port=str(sandbox.smtp_port),
        smtp_security="none",
    )
    answer = call(handler, "receipt")
    [mail] = sandbox.mails()
    assert (mail.via, mail.subject) == ("smtp", "Your receipt from Meadow Pottery School, order D2PJ-H7RA")
    assert answer["body"]["result"]["via"] == "smtp"
    assert answer["body"]["result"]["message_id"] in mail.headers["Message-ID"]


def test_a_dynamic_template_gets_the_same_context_with_formatted_values(start, sandbox):
    config = {"template": None, "sendgrid_template": "d-0a1b", "to": "buyer"}
    answer = call(start(), "receipt", samples.rich_order(), config=config)
    [mail] = sandbox.mails()
    assert mail.template_id == "d-0a1b"
    assert mail.template_data["order"]["total"] == "241,91\xa0€"
    assert mail.template_data["order"]["paid_on"] == "21 listopada 2026"
    assert mail.template_data["shop"]["name"] == "Meadow Pottery School"
    assert answer["body"]["note"] == "SendGrid template d-0a1b sent to the buyer"


def test_a_dynamic_template_through_smtp_is_a_clear_error(start, sandbox):
    handler = start(
        mail_transport="smtp", smtp_host="127.0.0.1", smtp_port=str(sandbox.smtp_port), smtp_security="none"
    )
    answer = call(handler, "receipt", config={"sendgrid_template": "d-0a1b", "to": "buyer"})
    assert answer["statusCode"] == 400
    assert "needs mail_transport=sendgrid" in error_of(answer)["message"]


@pytest.mark.parametrize(
    ("email", "words"),
    [
        (None, "has no mail address"),
        ("", "has no mail address"),
        ("ada", "is none"),
        ("a@b.c, d@e.f", "is none"),
        ("a@b.c\r\nBcc: d@e.f", "is none"),
    ],
)
def test_a_buyer_without_a_usable_address_is_an_error_for_good(start, sandbox, email, words):
    answer = call(start(), "receipt", samples.order(buyer=Buyer(email=email)))
    assert answer["statusCode"] == 400
    assert words in error_of(answer)["message"]
    assert "@" not in error_of(answer)["message"]
    assert sandbox.calls("sendgrid") == []


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"template": "receipt", "sendgrid_template": "d-1"},
        {"template": "../shop"},
        {"template": "receipt", "to": "everybody"},
        {"tmplate": "receipt"},
    ],
)
def test_a_config_that_makes_no_sense_is_an_error_for_good(start, config):
    assert call(start(), "receipt", config=config)["statusCode"] == 400


def test_a_typo_in_a_template_is_dead_at_once_with_the_place(start, sandbox, own_shop):
    path = own_shop(receipt__html="<p>\n{{ order.totl }}")
    answer = call(start(shop_file=path), "receipt")
    assert (answer["statusCode"], error_of(answer)["code"]) == (422, "template")
    assert error_of(answer)["message"].startswith("mails/receipt.html line 2: there is no 'totl' here; there is ")
    assert sandbox.mails() == []


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [
        (400, 422, "provider_refused"),
        (403, 422, "provider_refused"),
        (429, 429, "provider_busy"),
        (503, 503, "provider_unavailable"),
    ],
)
def test_the_providers_answer_becomes_ours(start, sandbox, status, answered, code):
    sandbox.fault("sendgrid", "status", status=status, retry_after=30)
    answer = call(start(), "receipt")
    assert (answer["statusCode"], error_of(answer)["code"]) == (answered, code)
    if status == 429:
        assert int(answer["headers"]["Retry-After"]) in (29, 30)


def test_a_new_key_is_used_without_a_restart(start, sandbox, tmp_path):
    handler = start()
    (tmp_path / "secrets" / "sendgrid-api-key").write_text("XX.revoked-and-rotated")
    answer = call(handler, "receipt")
    assert "the secret sendgrid-api-key should be SG...." in error_of(answer)["message"]
    (tmp_path / "secrets" / "sendgrid-api-key").write_text("SG.brand-new-key")
    assert call(handler, "receipt")["statusCode"] == 200


def test_an_unsigned_call_sends_nothing(start, sandbox):
    answer = run(start(), NAME, samples.request("receipt"), key="x" * 40)
    assert answer["statusCode"] == 401
    assert sandbox.calls("sendgrid") == []


def test_a_wrong_start_names_every_problem_at_once(start, own_shop):
    path = own_shop({"locale: en-GB": "locale: klingon", "      template: refund\n": "      template: refunds\n"})
    with pytest.raises(ConfigurationError) as caught:
        start(
            {"internal-key": "short"},
            shop_file=path,
            mail_transport="smtp",
            smtp_username="shop",
            smtp_port="0",
        )
    told = "\n".join(caught.value.problems)
    for words in (
        "smtp_port='0'",
        "smtp_host is not set",
        "internal-key should be at least 32",
        "smtp-password is missing",
        "there is no refunds.html",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("changes", "mails", "words"),
    [
        ({"locale: en-GB": "locale: klingon"}, {}, "shop.locale: 'klingon' is not known"),
        ({}, {"receipt__html": "{% if %}"}, "mails/receipt.html line 1"),
        ({}, {"receipt__pl__txt": "Subject: a\n\nb"}, "mails/receipt.pl.html is missing"),
    ],
)
def test_a_mistake_in_shop_or_mails_stops_the_start(start, own_shop, changes, mails, words):
    with pytest.raises(ConfigurationError) as caught:
        start(shop_file=own_shop(changes, **mails))
    assert words in caught.value.message


def test_a_dynamic_template_in_shop_yml_with_smtp_stops_the_start(start, own_shop):
    path = own_shop({"template: your-access": "sendgrid_template: d-0a1b"})
    with pytest.raises(ConfigurationError) as caught:
        start(shop_file=path, mail_transport="smtp", smtp_host="localhost")
    assert len(caught.value.problems) == 3
    assert "products[0].fulfilment[3]: a sendgrid_template needs" in caught.value.message


def test_without_the_alarm_nobody_would_be_told_so_that_it_stops_the_start(start, own_shop, tmp_path):
    path = own_shop()
    (tmp_path / "shop" / "mails" / "something-needs-you.txt").unlink()
    with pytest.raises(ConfigurationError, match=r"something-needs-you\.txt is missing"):
        start(shop_file=path)


def test_a_login_without_password_secret_is_not_needed_without_a_username(start, sandbox):
    start(
        {"internal-key": INTERNAL_KEY, "smtp-password": "unused"},
        mail_transport="smtp",
        smtp_host="localhost",
    )
    with pytest.raises(ConfigurationError, match="smtp-password is missing"):
        start({"internal-key": INTERNAL_KEY}, mail_transport="smtp", smtp_host="localhost", smtp_username="shop")


def test_neither_address_nor_key_is_logged(start, caplog):
    caplog.set_level(logging.DEBUG)
    call(start(), "receipt")
    logged = "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("pushcart", "python_http"))
    )
    assert "ada@" not in logged
    assert "SG." not in logged


#: Starts the handler in a process of its own, without the tests' helpers, which would load more themselves.
ALONE = """
import importlib.util, sys
sys.path[:0] = ["shared", "deploy"]
spec = importlib.util.spec_from_file_location("handler", "functions/email-dispatch/handler.py")
handler = importlib.util.module_from_spec(spec)
spec.loader.exec_module(handler)
handler.start()
print(*sorted({"sendgrid", "requests", "stripe", "sqlalchemy"} & set(sys.modules)))
"""


@pytest.mark.parametrize(("transport", "loaded"), [("smtp", ""), ("sendgrid", "sendgrid")])
def test_sendgrids_sdk_is_only_loaded_where_it_sends(tmp_path, transport, loaded):
    variables = environment(tmp_path, NAME, SECRETS, mail_transport=transport, smtp_host="localhost")
    ran = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=ROOT, env=variables, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == loaded


def test_the_doctor_asks_the_transport_that_is_used(sandbox, start):
    smtp = {"mail_transport": "smtp", "smtp_host": "127.0.0.1", "smtp_security": "none"}
    checks = examine(start(smtp_port=str(sandbox.smtp_port), **smtp), NAME)
    assert checks["smtp"]["status"] == "pass"
    assert sandbox.calls() == []
    assert "sendgrid" not in checks


def test_the_doctor_sees_what_would_keep_the_function_from_starting_again(start, own_shop):
    shop_file = own_shop()
    handler = start(shop_file=shop_file)
    assert examine(handler, NAME)["configuration"]["status"] == "pass"
    with open(shop_file, "a") as file:
        file.write("colour: red\n")
    assert "colour" in examine(handler, NAME)["configuration"]["text"]
