"""The sandbox's own pages and admin API: overview, inbox, calls, faults, time travel; and the command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from local.sandbox import Sandbox

EVIL = "<script>parent.alert(1)</script>"


def send(sb: Sandbox, **change: object) -> str:
    """A mail through SendGrid; returns its id."""
    requests.post(
        f"{sb.url}/sendgrid/v3/mail/send",
        headers={"Authorization": "Bearer SG.x"},
        timeout=5,
        json={
            "personalizations": [{"to": [{"email": "ada@example.com"}]}],
            "from": {"email": "shop@example.com"},
            "subject": f"Thanks {EVIL}",
            "content": [
                {"type": "text/plain", "value": f"plain {EVIL}"},
                {"type": "text/html", "value": f"<head></head><p>Hello</p>{EVIL}"},
            ],
            **change,
        },
    ).raise_for_status()
    return sb.mails()[-1].id


def page(sb: Sandbox, path: str) -> str:
    answer = requests.get(sb.url + path, timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_overview_sells_and_shows_what_came(sb: Sandbox, link: str) -> None:
    sb.stripe.buy(link, email="ada@example.com")
    send(sb)
    text = page(sb, "/")
    assert f'href="/stripe/pay/{link}"' in text
    assert "Lip-sync course" in text
    assert "49.00 EUR" in text
    assert re.search(r"<strong>1</strong> sendgrid", text)
    assert re.search(r"<strong>0</strong> kit", text)
    assert "ada@example.com" in text
    assert EVIL not in text


def test_an_empty_overview_says_what_is_missing(sb: Sandbox) -> None:
    text = page(sb, "/")
    assert "There are no payment links yet" in text
    assert "No mails yet" in text


@pytest.mark.parametrize(
    ("buttons", "event"),
    [
        (["refund"], "charge.refunded"),
        (["dispute", "won"], "charge.dispute.closed"),
        (["dispute", "lost"], "charge.dispute.closed"),
    ],
)
def test_the_overview_refunds_and_disputes_a_sale(sb: Sandbox, link: str, buttons: list[str], event: str) -> None:
    session = sb.stripe.buy(link).object["id"]
    for button in buttons:
        assert f'value="{button}"' in page(sb, "/")
        assert requests.post(f"{sb.url}/sales/{session}", data={"do": button}, timeout=5).status_code == 200
    assert sb.stripe.events(event)
    assert f'value="{buttons[0]}"' not in page(sb, "/")


@pytest.mark.parametrize(("button", "status"), [("settle", "paid"), ("fail", "unpaid")])
def test_the_overview_settles_a_bank_transfer(sb: Sandbox, link: str, button: str, status: str) -> None:
    session = sb.stripe.buy(link, delayed=True).object["id"]
    assert requests.post(f"{sb.url}/sales/{session}", data={"do": button}, timeout=5).status_code == 200
    assert sb.stripe.find_session(session)["payment_status"] == status
    again = requests.post(f"{sb.url}/sales/{session}", data={"do": button}, timeout=5)
    assert again.status_code == 409
    assert 'role="alert"' in again.text


def test_a_mail_is_shown_as_the_buyer_sees_it_and_cannot_run_anything(sb: Sandbox) -> None:
    """The HTML is in a frame of its own, without script by the frame's and by the answer's policy."""
    mail = send(sb)
    text = page(sb, f"/mails/{mail}")
    assert EVIL not in text
    assert "&lt;script&gt;" in text
    frame = re.search(r'<iframe[^>]* src="([^"]+)" sandbox="([^"]*)"', text)
    assert frame
    assert "allow-scripts" not in frame[2]
    assert "allow-same-origin" not in frame[2]
    inner = requests.get(sb.url + frame[1], timeout=5)
    assert '<head><base target="_blank"></head><p>Hello</p>' in inner.text
    policy = inner.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "sandbox allow-popups" in policy
    assert "allow-scripts" not in policy
    assert "plain &lt;script&gt;" in page(sb, f"/mails/{mail}?show=text")


def test_the_inbox_lists_newest_first_and_searches(sb: Sandbox) -> None:
    send(sb, subject="First"), send(sb, subject="Second")
    text = page(sb, "/mails")
    assert text.index("Second") < text.index("First")
    assert "No mails to bob@example.com yet" in page(sb, "/mails?to=bob@example.com")
    assert requests.get(f"{sb.url}/mails/none", timeout=5).status_code == 404


def test_a_template_mail_shows_its_data(sb: Sandbox) -> None:
    mail = send(
        sb,
        content=None,
        subject="",
        template_id="d-42",
        personalizations=[
            {
                "to": [{"email": "ada@example.com"}],
                "dynamic_template_data": {"name": f"Ada {EVIL}", "lines": [{"n": 1}]},
            }
        ],
    )
    text = page(sb, f"/mails/{mail}")
    assert "<code>d-42</code>" in text
    assert re.search(r'<th scope="row">name</th><td>Ada &lt;script', text)
    assert EVIL not in text
    assert "&#34;n&#34;: 1" in text


def test_calls_are_shown_with_their_secrets_masked(sb: Sandbox) -> None:
    send(sb)
    text = page(sb, "/calls?provider=sendgrid")
    assert "/v3/mail/send" in text
    assert "Bearer SG.x…" in text
    assert EVIL not in text
    assert "Nothing was called yet" in page(sb, "/calls?provider=kit")
    call = requests.get(f"{sb.url}/_sandbox/calls", params={"provider": "sendgrid"}, timeout=5).json()["calls"][0]
    assert (call["method"], call["status"], call["path"]) == ("POST", 202, "/v3/mail/send")


def test_pages_are_no_calls(sb: Sandbox, link: str) -> None:
    page(sb, f"/stripe/pay/{link}")
    page(sb, "/")
    assert sb.calls() == []


def test_faults_are_set_from_the_page(sb: Sandbox) -> None:
    sent = {"provider": "kit", "kind": "status", "status": "503", "times": "always", "path": "/v4", "delay": ""}
    text = requests.post(f"{sb.url}/faults", data=sent, timeout=5).text
    assert "kit: status 503" in text
    assert "always" in text
    assert sb.world.faults.all()[0].times is None
    refused = requests.post(f"{sb.url}/faults", data={**sent, "status": "many"}, timeout=5)
    assert refused.status_code == 400
    assert 'role="alert"' in refused.text
    requests.post(f"{sb.url}/faults", data={"do": "clear"}, timeout=5)
    assert sb.world.faults.all() == []


def test_time_travel_writes_the_clock_file(tmp_path: Path, clock, course: dict) -> None:
    """The functions read the file; the sandbox's own objects follow it and expire with it."""
    file = tmp_path / "clock"
    with Sandbox(clock=clock, clock_file=file, autosend=False) as sb:
        opened = sb.stripe.open_session(sb.stripe.add_payment_link([course])["id"])
        assert "+3 days" in page(sb, "/")
        requests.post(f"{sb.url}/clock", data={"advance_seconds": "3600"}, timeout=5)
        assert file.read_text() == "3600"
        told = requests.post(f"{sb.url}/_sandbox/clock", json={"advance_seconds": 86400}, timeout=5).json()
        assert told["ahead_seconds"] == 90000
        assert told["now"] == "2026-11-21T13:00:00+00:00"
        assert [e["type"] for e in sb.stripe.events(about=opened)] == ["checkout.session.expired"]
        file.write_text("10")
        assert requests.get(f"{sb.url}/_sandbox/clock", timeout=5).json()["ahead_seconds"] == 10
        for path, how in (
            ("/_sandbox/clock", {"json": {"advance_seconds": -1}}),
            ("/clock", {"data": {"advance_seconds": "soon"}}),
            ("/_sandbox/clock", {"json": {}}),
        ):
            assert requests.post(sb.url + path, timeout=5, **how).status_code == 400


def test_mails_and_reset_over_http(sb: Sandbox, link: str) -> None:
    mail = send(sb)
    listed = requests.get(f"{sb.url}/_sandbox/mails", params={"to": "ada@example.com"}, timeout=5).json()["mails"]
    assert [m["id"] for m in listed] == [mail]
    assert requests.get(f"{sb.url}/_sandbox/mails/{mail}", timeout=5).json()["to"] == ["ada@example.com"]
    assert requests.get(f"{sb.url}/_sandbox/mails/none", timeout=5).status_code == 404
    sb.fault("kit", "timeout")
    assert requests.post(f"{sb.url}/_sandbox/reset", timeout=5).json() == {"status": "ok"}
    assert (sb.mails(), sb.calls(), sb.world.faults.all(), sb.stripe.events()) == ([], [], [], [])
    health = requests.get(f"{sb.url}/_sandbox/health", timeout=5).json()
    assert health == {"status": "ok", "url": sb.url, "smtp_port": sb.smtp_port}


def test_a_taken_port_is_an_error_at_once(sb: Sandbox) -> None:
    for taken in ({"smtp_port": sb.smtp_port}, {"port": int(sb.url.rsplit(":", 1)[1])}):
        with pytest.raises(OSError, match="in use"):
            Sandbox(**taken).start()


def test_the_command_runs_until_it_is_told_to_stop() -> None:
    command = [sys.executable, "-m", "local.sandbox", "--port", "0", "--smtp-port", "0"]
    paths = os.pathsep.join(p for p in sys.path if p)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}) as run:
        assert run.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", run.stdout.readline())
        assert url
        assert requests.get(f"{url[0]}/_sandbox/health", timeout=5).status_code == 200
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=10) == 0
