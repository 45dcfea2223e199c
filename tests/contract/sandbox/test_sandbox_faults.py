"""Every kind of fault, seen from a real client."""

from __future__ import annotations

import contextlib
import time

import pytest
import requests
import stripe

from local.sandbox import Sandbox

SITE = "/discourse/site.json"
KEYS = {"Api-Key": "k", "Api-Username": "u"}


def get(sb: Sandbox, timeout: float = 5, path: str = SITE) -> requests.Response:
    return requests.get(sb.url + path, headers=KEYS, timeout=timeout)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, stripe.InvalidRequestError),
        (401, stripe.AuthenticationError),
        (402, stripe.CardError),
        (403, stripe.PermissionError),
        (404, stripe.InvalidRequestError),
        (429, stripe.RateLimitError),
        (500, stripe.APIError),
        (503, stripe.APIError),
    ],
)
def test_a_status_comes_in_the_providers_own_shape(
    sb: Sandbox, api: stripe.StripeClient, status: int, error: type[stripe.StripeError]
) -> None:
    """So that the SDK raises what it raises in earnest; with Retry-After when it is asked for."""
    sb.fault("stripe", "status", status=status, retry_after=7)
    with pytest.raises(error) as failed:
        api.v1.events.list()
    assert failed.value.http_status == status
    assert failed.value.headers["Retry-After"] == "7"
    assert failed.value.error.message
    assert api.v1.events.list().data == []


@pytest.mark.parametrize(
    ("provider", "shape"),
    [
        ("kit", lambda body: body["errors"][0]),
        ("sendgrid", lambda body: body["errors"][0]["message"]),
        ("discourse", lambda body: body["errors"][0]),
        ("thinkific", lambda body: body["error"]),
        ("platform", lambda body: body["error"]),
    ],
)
def test_every_provider_has_its_shape(sb: Sandbox, provider: str, shape) -> None:
    sb.fault(provider, "status", status=503, retry_after=3)
    answer = requests.post(f"{sb.url}/{provider}/anything", timeout=5)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "3"
    assert shape(answer.json())


def test_a_status_may_have_any_body_and_come_late(sb: Sandbox) -> None:
    sb.fault("discourse", "status", status=418, body='{"tea": true}', delay=0.2)
    start = time.monotonic()
    answer = get(sb)
    assert answer.json() == {"tea": True}
    assert answer.status_code == 418
    assert time.monotonic() - start >= 0.2


def test_a_timeout_holds_the_connection_without_an_answer(sb: Sandbox) -> None:
    sb.fault("discourse", "timeout", delay=1)
    with pytest.raises(requests.ReadTimeout):
        get(sb, timeout=0.2)
    sb.fault("discourse", "timeout", delay=0.1)
    with pytest.raises(requests.ConnectionError, match="closed connection without response"):
        get(sb)


def test_a_refused_connection_is_reset(sb: Sandbox) -> None:
    sb.fault("discourse", "refused")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        get(sb)


def test_a_lost_answer_has_done_its_work(sb: Sandbox, api: stripe.StripeClient) -> None:
    """Only the answer is lost: a retry under the same key finds what was made."""
    sb.fault("stripe", "lost_answer", method="POST", path="^/v1/products$")
    with pytest.raises(stripe.APIConnectionError):
        api.v1.products.create({"name": "Mug"}, {"idempotency_key": "k"})
    (made,) = api.v1.products.list().data
    assert api.v1.products.create({"name": "Mug"}, {"idempotency_key": "k"}).id == made.id
    assert [c.status for c in sb.calls("stripe", "POST")] == [None, 200]


def test_the_sdk_retries_a_lost_answer_by_itself(sb: Sandbox) -> None:
    client = stripe.StripeClient("sk_test_1", base_addresses={"api": f"{sb.url}/stripe"}, max_network_retries=1)
    sb.fault("stripe", "lost_answer")
    made = client.v1.products.create({"name": "Mug"})
    assert [p.id for p in client.v1.products.list().data] == [made.id]


def test_a_slow_answer_drips(sb: Sandbox) -> None:
    """No single read takes long, so a client's read timeout does not help; the whole takes the delay."""
    sb.fault("discourse", "slow", delay=1)
    start = time.monotonic()
    assert get(sb, timeout=0.7).json()["default_archetype"] == "regular"
    assert time.monotonic() - start >= 0.9


def test_a_truncated_answer_breaks_off(sb: Sandbox) -> None:
    sb.fault("discourse", "truncated")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        get(sb)


def test_html_and_garbage_come_instead_of_json(sb: Sandbox, api: stripe.StripeClient) -> None:
    sb.fault("discourse", "html")
    page = get(sb)
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<h1>" in page.text
    sb.fault("discourse", "html", status=502)
    assert get(sb).status_code == 502
    sb.fault("discourse", "garbage")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        get(sb).json()
    sb.fault("stripe", "html")
    with pytest.raises(stripe.APIError, match="Invalid response body"):
        api.v1.events.list()


def test_the_stripe_sdk_fails_in_its_own_way_on_bytes_that_are_no_text(sb: Sandbox, api: stripe.StripeClient) -> None:
    """Version 16.1 raises no StripeError then, so callers must be ready for a ValueError too."""
    sb.fault("stripe", "garbage")
    with pytest.raises(UnicodeDecodeError):
        api.v1.events.list()


def test_faults_are_counted_matched_and_cleared(sb: Sandbox) -> None:
    """By path (a regular expression), by method, for some calls or for ever, first come first served."""
    sb.fault("discourse", "status", status=500, path=r"^/site", times=2)
    sb.fault("discourse", "status", status=429, method="put", times=None)
    assert [get(sb, path=path).status_code for path in ("/discourse/u/search/users.json", SITE, SITE, SITE)] == [
        200,
        500,
        500,
        200,
    ]
    put = f"{sb.url}/discourse/groups/1/members.json"
    assert {requests.put(put, headers=KEYS, timeout=5).status_code for _ in range(3)} == {429}
    sb.world.faults.clear()
    assert requests.put(put, headers=KEYS, timeout=5).status_code == 400
    assert [c.fault for c in sb.calls("discourse", path="/site.json")] == ["status", "status", None]


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("GET", "/groups/41/members.json?for=ann%40example.com", {}),
        ("GET", "/u/ann@example.com.json", {}),
        ("POST", "/invites.json", {"json": {"email": "ann@example.com"}}),
        ("POST", "/invites.json", {"data": {"email": "ann@example.com"}}),
    ],
)
def test_a_fault_can_be_for_the_calls_about_one_buyer(sb: Sandbox, method: str, path: str, sent: dict) -> None:
    """By text that occurs in the path, the query or the body, decoded; it stands for nothing but itself."""

    def ask() -> int:
        return requests.request(method, f"{sb.url}/discourse{path}", headers=KEYS, timeout=5, **sent).status_code

    other = sb.fault("discourse", "status", status=503, text="a.n@example.com", times=None)
    fault = sb.fault("discourse", "status", status=500, text="ann@example.com", times=2)
    assert [ask(), ask()] == [500, 500]
    assert ask() not in (500, 503)
    assert (fault.hits, other.hits) == (2, 0)


@pytest.mark.parametrize(
    ("kind", "rule"), [("status", {"status": 500}), ("timeout", {"delay": 0.1}), ("html", {}), ("garbage", {})]
)
def test_a_call_may_go_wrong_after_its_work_was_done(sb: Sandbox, kind: str, rule: dict) -> None:
    """What leads to a second mail, or would to a second enrolment: done, and answered as if it were not."""

    def invite(email: str) -> None:
        with contextlib.suppress(requests.ConnectionError):
            requests.post(f"{sb.url}/discourse/invites.json", json={"email": email}, headers=KEYS, timeout=5)

    before = sb.fault("discourse", kind, **rule)
    invite("before@example.com")
    after = sb.fault("discourse", kind, after_work=True, **rule)
    invite("after@example.com")
    assert list(sb.discourse.invites) == ["after@example.com"]
    assert (before.does_work, before.hits) == (False, 1)
    assert (after.does_work, after.hits) == (True, 1)


def test_a_slow_answer_without_a_body_is_late_as_a_whole(sb: Sandbox) -> None:
    """SendGrid's 202 is empty, so there is nothing to drip; the mail was taken all the same."""
    sb.fault("sendgrid", "slow", delay=1)
    mail = {
        "personalizations": [{"to": [{"email": "ann@example.com"}]}],
        "from": {"email": "shop@example.com"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "Hello"}],
    }
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{sb.url}/sendgrid/v3/mail/send", json=mail, headers={"Authorization": "Bearer SG.x.y"}, timeout=0.3
        )
    assert len(sb.mails("ann@example.com")) == 1


def test_one_providers_fault_is_not_anothers(sb: Sandbox, api: stripe.StripeClient) -> None:
    sb.fault("kit", "status", status=500, times=None)
    assert api.v1.events.list().data == []
    assert get(sb).status_code == 200


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"provider": "paypal", "kind": "status", "status": 500}, "unknown provider"),
        ({"provider": "kit", "kind": "mood"}, "unknown fault"),
        ({"provider": "smtp", "kind": "html"}, "unknown fault"),
        ({"provider": "kit", "kind": "status"}, "needs a status"),
        ({"provider": "kit", "kind": "timeout", "times": 0}, "times must be"),
        ({"provider": "kit", "kind": "timeout", "path": "("}, "regular expression"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(sb: Sandbox, rule: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sb.fault(**rule)
    answer = requests.post(f"{sb.url}/_sandbox/faults", json=rule, timeout=5)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_faults_over_http(sb: Sandbox) -> None:
    url = f"{sb.url}/_sandbox/faults"
    made = requests.post(
        url, json={"provider": "discourse", "kind": "status", "status": 503, "times": None, "text": "site"}, timeout=5
    ).json()
    assert requests.get(url, timeout=5).json()["faults"] == [made]
    assert get(sb).status_code == 503
    assert requests.get(url, timeout=5).json()["faults"] == [{**made, "hits": 1}]
    assert requests.post(url, json={**made, "hits": 3}, timeout=5).status_code == 400
    assert requests.delete(url, params={"id": made["id"]}, timeout=5).json() == {"faults": []}
    assert get(sb).status_code == 200


def test_stopping_does_not_wait_for_held_connections() -> None:
    """A connection held for a minute ends with the sandbox."""
    with Sandbox(autosend=False) as sb:
        sb.fault("discourse", "timeout", delay=60)
        with pytest.raises(requests.ReadTimeout):
            get(sb, timeout=0.1)
        start = time.monotonic()
    assert time.monotonic() - start < 10
