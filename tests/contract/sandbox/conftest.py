"""A sandbox on free ports, with a clock that stands still, and a webhook that listens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe

from local.sandbox import Sandbox
from local.sandbox.stripe.payment_objects import API_VERSION


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)


class Webhook:
    """A webhook on a free port. Answers with `statuses` in turn, then with 200; keeps what it got.

    `answer` makes the body of an answer from the body of a call."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.answer: Callable[[bytes], bytes] = lambda body: b""
        self.got: list[tuple[bytes, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((body, dict(self.headers)))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                said = outer.answer(body)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/function/stripe-webhook"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="session")
def shared() -> Iterator[tuple[Sandbox, Clock]]:
    """One sandbox for all tests, for starting it is what takes time."""
    clock = Clock()
    with Sandbox(clock=clock, seed=1, autosend=False) as sandbox:
        yield sandbox, clock


@pytest.fixture
def clock(shared: tuple[Sandbox, Clock]) -> Clock:
    return shared[1]


@pytest.fixture
def sb(shared: tuple[Sandbox, Clock]) -> Iterator[Sandbox]:
    """The shared sandbox as if it were new: nothing received, no fault, no setting changed."""
    sandbox, clock = shared
    clock.now = Clock().now
    sandbox.reset()
    yield sandbox
    sandbox.stripe.webhook_url, sandbox.stripe.api_version = None, API_VERSION
    sandbox.platform.secret, sandbox.kit.sequences = None, None
    sandbox.sendgrid.templates.clear()
    sandbox.autopay.configure(
        service_id="123456", key="sandbox-autopay-key", itn_url=None, return_url=None, autosend=False
    )
    sandbox.printful.configure(
        token=None, balance=None, per_minute=None, needs_store=False, webhook_url=None, autosend=False
    )
    sandbox.printful.variants.clear()
    sandbox.twilio.auth_token = None


@pytest.fixture
def course() -> dict:
    return {"sku": "course", "name": "Lip-sync course", "unit_amount": 4900, "currency": "eur"}


@pytest.fixture
def shirt() -> dict:
    return {"sku": "shirt", "name": "T-shirt", "unit_amount": 2500, "currency": "eur", "quantity": 2}


@pytest.fixture
def api(sb: Sandbox) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_51sandbox", base_addresses={"api": f"{sb.url}/stripe"}, max_network_retries=0)


@pytest.fixture
def link(sb: Sandbox, course: dict) -> str:
    """The id of a payment link that sells one course."""
    return sb.stripe.add_payment_link([course])["id"]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    listening = Webhook()
    yield listening
    listening.close()
