"""Mails through SendGrid's SDK: what goes over the wire, and every way it can fail."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator

import pytest

from local.sandbox import Sandbox
from pushcart.errors import ProviderBusy, ProviderRefused, ProviderUnavailable
from pushcart.providers.sendgrid_mail import SendGridMail
from support.messages import MESSAGE, NOW, message
from support.wire import Wire


@pytest.fixture(scope="module")
def shared_sandbox() -> Iterator[Sandbox]:
    """A sandbox with the transport's clock, for SendGrid says at what time its rate limit ends."""
    with Sandbox(clock=lambda: NOW) as running:
        yield running


def sendgrid(url: str, timeout: float = 5, key: str = "SG.test") -> SendGridMail:
    return SendGridMail(url, lambda: key, lambda: NOW, timeout=timeout)


class TestSendGrid:
    def transport(self, sandbox: Sandbox, **changes) -> SendGridMail:
        return sendgrid(f"{sandbox.url}/sendgrid", **changes)

    def test_a_mail_arrives_whole_and_its_id_comes_back(self, sandbox):
        sent = self.transport(sandbox).send(MESSAGE)
        [mail] = sandbox.mails()
        assert mail.id.startswith(sent.message_id)
        assert (mail.to, mail.reply_to, mail.subject) == (
            ["ada@example.org"],
            "help@meadow.example",
            MESSAGE.subject,
        )
        assert (mail.html, mail.text) == (MESSAGE.html, MESSAGE.text)
        assert mail.custom_args == {"order_id": "o-1", "step": "order.receipt", "key": "o-1.receipt"}
        assert mail.headers == {"Message-ID": MESSAGE.message_id, "Auto-Submitted": "auto-generated"}

    def test_the_request_has_the_form_sendgrid_documents_and_leaves_links_alone(self, sandbox):
        self.transport(sandbox).send(MESSAGE)
        [call] = sandbox.calls("sendgrid")
        assert (call.method, call.path) == ("POST", "/v3/mail/send")
        assert call.json["from"] == {"email": "studio@meadow.example", "name": 'Müller, "Clay" & Co'}
        assert call.json["tracking_settings"] == {"click_tracking": {"enable": False, "enable_text": False}}
        assert call.json["categories"] == ["pushcart", "receipt"]
        assert [block["type"] for block in call.json["content"]] == ["text/plain", "text/html"]

    def test_several_admins_get_one_mail_in_one_call(self, sandbox):
        self.transport(sandbox).send(message(to=["a@meadow.example", "b@meadow.example"], reply_to=None, order_id=None))
        [call] = sandbox.calls("sendgrid")
        assert len(call.json["personalizations"]) == 1
        assert "reply_to" not in call.json
        assert "order_id" not in call.json["custom_args"]
        assert sandbox.mails()[0].to == ["a@meadow.example", "b@meadow.example"]

    def test_a_dynamic_template_gets_its_data_and_no_content_of_ours(self, sandbox):
        data = {"order": {"total": "€49.00"}}
        self.transport(sandbox).send(message(subject="", html="", text="", template_id="d-1f", template_data=data))
        [mail] = sandbox.mails()
        assert (mail.template_id, mail.template_data) == ("d-1f", data)
        assert not {"content", "subject"} & set(sandbox.calls("sendgrid")[0].json)

    def test_the_key_is_asked_for_at_each_mail(self, sandbox):
        keys = iter(["SG.old-one", "SG.new-one"])
        transport = SendGridMail(f"{sandbox.url}/sendgrid/", lambda: next(keys), lambda: NOW, timeout=5)
        transport.send(MESSAGE)
        transport.send(MESSAGE)
        assert [call.headers["Authorization"] for call in sandbox.calls("sendgrid")] == [
            "Bearer SG.o…",
            "Bearer SG.n…",
        ]

    @pytest.mark.parametrize(
        ("status", "said", "next_step"),
        [
            (400, "Bad Request", "Bad Request"),
            (401, "The provided authorization grant is invalid", "look at the secret sendgrid-api-key"),
            (403, "The from address does not match a verified Sender Identity.", "verify the shop's sender"),
            (404, "not found", "404"),
            (413, "content too large", "too large"),
        ],
    )
    def test_a_refusal_is_for_good_and_has_sendgrids_words_and_a_next_step(self, sandbox, status, said, next_step):
        body = json.dumps({"errors": [{"message": said, "field": None, "help": None}]})
        sandbox.fault("sendgrid", "status", status=status, body=body)
        with pytest.raises(ProviderRefused) as caught:
            self.transport(sandbox).send(MESSAGE)
        assert said in caught.value.message
        assert next_step in caught.value.message
        assert caught.value.status == status

    def test_the_sandboxs_own_refusals_are_understood(self, sandbox):
        with pytest.raises(ProviderRefused, match="Does not contain a valid address"):
            self.transport(sandbox).send(message(to=["not an address"]))
        with pytest.raises(ProviderRefused, match="authorization grant"):
            self.transport(sandbox, key="wrong").send(MESSAGE)
        assert sandbox.mails() == []

    def test_used_up_credits_are_no_refusal_but_wait_an_hour(self, sandbox):
        body = '{"errors": [{"message": "Maximum credits exceeded", "field": null, "help": null}]}'
        sandbox.fault("sendgrid", "status", status=401, body=body)
        with pytest.raises(ProviderUnavailable, match="Maximum credits exceeded; buy more") as caught:
            self.transport(sandbox).send(MESSAGE)
        assert caught.value.retry_after == 3600

    def test_a_rate_limit_waits_until_its_reset(self, sandbox):
        sandbox.fault("sendgrid", "status", status=429, retry_after=42)
        with pytest.raises(ProviderBusy, match="too many requests") as caught:
            self.transport(sandbox).send(MESSAGE)
        assert caught.value.retry_after == 42

    @pytest.mark.parametrize(
        ("headers", "wait"),
        [
            ({"X-RateLimit-Reset": "1"}, 1.0),
            ({"X-RateLimit-Reset": "99999999999"}, 3600.0),
            ({"X-RateLimit-Reset": "soon"}, None),
            ({"Retry-After": "7"}, 7.0),
            ({}, None),
        ],
    )
    def test_a_strange_reset_time_never_stops_the_mails_for_long(self, headers, wait):
        with Wire() as wire, pytest.raises(ProviderBusy) as caught:
            sendgrid(wire.say(429, b"slow down", headers).url).send(MESSAGE)
        assert caught.value.retry_after == wait
        assert "429 (no reason given)" in caught.value.message

    @pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504])
    def test_a_failing_sendgrid_is_asked_again_later(self, sandbox, status):
        sandbox.fault("sendgrid", "status", status=status)
        with pytest.raises(ProviderUnavailable) as caught:
            self.transport(sandbox).send(MESSAGE)
        assert caught.value.status == status
        self.transport(sandbox).send(MESSAGE)
        assert len(sandbox.mails()) == 1

    @pytest.mark.parametrize("kind", ["refused", "html", "garbage"])
    def test_an_answer_that_is_none_of_sendgrids_is_asked_for_again(self, sandbox, kind):
        sandbox.fault("sendgrid", kind)
        with pytest.raises(ProviderUnavailable):
            self.transport(sandbox).send(MESSAGE)
        assert sandbox.mails() == []

    def test_no_answer_ends_after_the_timeout(self, sandbox):
        sandbox.fault("sendgrid", "timeout", delay=5.0)
        began = time.monotonic()
        with pytest.raises(ProviderUnavailable, match="no usable answer"):
            self.transport(sandbox, timeout=0.2).send(MESSAGE)
        assert time.monotonic() - began < 2

    def test_a_closed_port_and_a_broken_answer_are_unavailable(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with pytest.raises(ProviderUnavailable, match="ConnectionRefusedError"):
            sendgrid(f"http://127.0.0.1:{port}").send(MESSAGE)
        with Wire() as wire, pytest.raises(ProviderUnavailable):
            sendgrid(wire.do(lambda handler: handler.wfile.write(b"220 smtp\r\n\r\n")).url).send(MESSAGE)

    def test_a_followed_redirect_is_not_taken_for_a_sent_mail(self):
        with Wire() as wire:
            wire.say(302, b"", {"Location": f"{wire.url}/login"}).say(200, b"<h1>Sign in</h1>")
            with pytest.raises(ProviderUnavailable, match="answered 200 and not 202; look at sendgrid_url"):
                sendgrid(wire.url).send(MESSAGE)

    def test_after_a_lost_answer_the_second_mail_has_the_same_message_id(self, sandbox):
        sandbox.fault("sendgrid", "lost_answer")
        with pytest.raises(ProviderUnavailable):
            self.transport(sandbox).send(MESSAGE)
        self.transport(sandbox).send(MESSAGE)
        first, second = sandbox.mails()
        assert first.headers["Message-ID"] == second.headers["Message-ID"]

    def test_no_address_and_no_key_reaches_log_or_error(self, sandbox, caplog):
        caplog.set_level(logging.DEBUG)
        self.transport(sandbox).send(MESSAGE)
        body = '{"errors": [{"message": "ada@example.org is on the\\nsuppression list"}]}'
        sandbox.fault("sendgrid", "status", status=400, body=body)
        with pytest.raises(ProviderRefused) as caught:
            self.transport(sandbox).send(MESSAGE)
        assert "400 (address) is on the suppression list" in caught.value.message
        assert not [
            record for record in caplog.records if "ada@" in record.getMessage() or "SG." in record.getMessage()
        ]
