"""Kit over HTTP: OAuth with rotating refresh tokens, purchases, subscribers, sequences; and the older v3."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from local.sandbox import Sandbox

PURCHASE = {
    "transaction_id": "ord_1",
    "email_address": "ada@example.com",
    "currency": "eur",
    "status": "paid",
    "transaction_time": "2026-11-20T12:00:00Z",
    "subtotal": 49.0,
    "tax": 0,
    "shipping": 0,
    "discount": 0,
    "total": 49.0,
    "products": [
        {"pid": "prod_1", "lid": "li_1", "name": "Course", "sku": "course", "unit_price": 49.0, "quantity": 1}
    ],
}


@pytest.fixture
def call(sb: Sandbox) -> Any:
    """call(method, path, json, key=..., token=...) against the sandbox's Kit; by default with the access token."""

    def send(
        method: str, path: str, body: dict | None = None, *, key: str | None = None, token: str | None = None
    ) -> requests.Response:
        headers = {"X-Kit-Api-Key": key} if key else {"Authorization": f"Bearer {token or sb.kit.access_token}"}
        return requests.request(method, f"{sb.url}/kit{path}", json=body, headers=headers, timeout=5)

    return send


def refresh(sb: Sandbox, token: str, **change: str) -> requests.Response:
    return requests.post(
        f"{sb.url}/kit/v4/oauth/token",
        timeout=5,
        json={
            "grant_type": "refresh_token",
            "client_id": "app",
            "client_secret": "s",
            "refresh_token": token,
            **change,
        },
    )


@pytest.mark.parametrize("body", [PURCHASE, {"purchase": PURCHASE}])
def test_a_purchase_is_kept_once(sb: Sandbox, call: Any, body: dict) -> None:
    """Bare or wrapped; the same transaction id gets the stored purchase again, whatever else is sent."""
    first, again = call("POST", "/v4/purchases", body), call("POST", "/v4/purchases", {**PURCHASE, "total": 1})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    stored = first.json()["purchase"]
    assert (stored["transaction_id"], stored["currency"], stored["total"]) == ("ord_1", "EUR", 49.0)
    assert stored["products"][0]["sku"] == "course"
    assert isinstance(stored["subscriber_id"], int)
    assert list(sb.kit.purchases) == ["ord_1"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transaction_id": ""}, "transaction_id can't be blank"),
        ({"email_address": "x"}, "Email address is invalid"),
        ({"products": []}, "Products can't be blank"),
        ({"transaction_time": "soon"}, "Transaction time is invalid"),
        ({"products": [{"name": "Course", "pid": 1, "lid": 1}]}, "Sku can't be blank for product: Course"),
    ],
)
def test_an_incomplete_purchase_is_422(call: Any, change: dict, words: str) -> None:
    answer = call("POST", "/v4/purchases", {**PURCHASE, **change})
    assert answer.status_code == 422
    assert words in answer.json()["errors"]


def test_purchases_are_for_oauth_only(sb: Sandbox, call: Any) -> None:
    assert call("POST", "/v4/purchases", PURCHASE, key="kit_key").status_code == 401
    refused = call("POST", "/v4/purchases", PURCHASE, token="made-up")
    assert refused.json() == {"errors": ["The access token is invalid"]}
    assert sb.kit.purchases == {}


def test_an_access_token_expires_and_is_refreshed(sb: Sandbox, call: Any, clock) -> None:
    old = sb.kit.access_token
    clock.advance(7199)
    assert call("GET", "/v4/account").status_code == 200
    clock.advance(1)
    assert call("GET", "/v4/account").status_code == 401
    fresh = refresh(sb, sb.kit.refresh_token).json()
    assert fresh["token_type"] == "Bearer"
    assert fresh["expires_in"] == 7200
    assert fresh["access_token"] != old
    assert call("GET", "/v4/account", token=fresh["access_token"]).status_code == 200
    assert call("GET", "/v4/account", token=old).status_code == 401


def test_a_refresh_token_works_once(sb: Sandbox) -> None:
    first = sb.kit.refresh_token
    rotated = refresh(sb, first).json()["refresh_token"]
    assert refresh(sb, first).status_code == 400
    assert refresh(sb, first).json()["error"] == "invalid_grant"
    assert refresh(sb, rotated).status_code == 200


def test_tokens_can_be_made_to_end_at_once(sb: Sandbox, call: Any) -> None:
    """Also over HTTP, for tests in another process."""
    sb.kit.expire_access_token()
    assert call("GET", "/v4/account").status_code == 401
    assert refresh(sb, sb.kit.refresh_token).status_code == 200 == call("GET", "/v4/account").status_code
    requests.post(f"{sb.url}/_sandbox/kit/expire_access_token", timeout=5)
    assert call("GET", "/v4/account").status_code == 401
    tokens = requests.post(f"{sb.url}/_sandbox/kit/tokens", timeout=5).json()["object"]
    assert tokens["refresh_token"] == sb.kit.refresh_token
    sb.kit.revoke_refresh_token()
    assert refresh(sb, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_token_outlives_a_restart_of_the_sandbox(sb: Sandbox) -> None:
    """A shop that stored a rotated token goes on with the next run; a made-up one is still refused."""
    rotated = refresh(sb, sb.kit.refresh_token).json()["refresh_token"]
    with Sandbox(autosend=False) as other:
        assert refresh(other, rotated).status_code == 200
        assert refresh(other, rotated[:-1] + ("0" if rotated[-1] != "0" else "1")).status_code == 400


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [({"grant_type": "password"}, 400, "unsupported_grant_type"), ({"client_id": ""}, 401, "invalid_client")],
)
def test_other_grants_are_refused(sb: Sandbox, change: dict, status: int, error: str) -> None:
    answer = refresh(sb, sb.kit.refresh_token, **change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_subscriber_is_made_or_updated_by_address(sb: Sandbox, call: Any) -> None:
    """Fields the account does not have are ignored with a warning."""
    made = call("POST", "/v4/custom_fields", {"label": "Last Order"}, key="k").json()
    assert made["custom_field"]["key"] == "last_order"
    body = {"email_address": "Ada@example.com", "first_name": "Ada", "fields": {"last_order": "ord_1", "colour": "red"}}
    first = call("POST", "/v4/subscribers", body, key="k")
    again = call("POST", "/v4/subscribers", {"email_address": "ada@example.com"}, key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["subscriber"]["fields"] == {"last_order": "ord_1"}
    assert "colour" in first.json()["warnings"][0]
    assert again.json()["subscriber"] == first.json()["subscriber"]
    assert "warnings" not in again.json()
    found = call("GET", "/v4/subscribers?email_address=ada@example.com", key="k").json()["subscribers"]
    assert [s["first_name"] for s in found] == ["Ada"]
    assert call("POST", "/v4/subscribers", {"email_address": "no"}, key="k").status_code == 422


def test_a_sequence_takes_a_subscriber_once(sb: Sandbox, call: Any) -> None:
    """The subscriber must be there first; 201 for a new one, 200 for one that is there already."""
    body = {"email_address": "ada@example.com"}
    assert call("POST", "/v4/sequences/301/subscribers", body, key="k").status_code == 404
    call("POST", "/v4/subscribers", body, key="k")
    answers = [call("POST", "/v4/sequences/301/subscribers", body, key="k") for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 200]
    assert answers[0].json()["subscriber"]["added_at"]
    assert sb.kit.sequence_members == {301: ["ada@example.com"]}
    sb.kit.sequences = {7: "Welcome"}
    assert call("POST", "/v4/sequences/301/subscribers", body, key="k").json() == {"errors": ["Not Found"]}
    assert call("GET", "/v4/sequences", key="k").json()["sequences"][0]["name"] == "Welcome"


def test_too_many_calls_are_refused_in_plain_text(sb: Sandbox, call: Any) -> None:
    sb.fault("kit", "status", status=429)
    answer = call("GET", "/v4/account")
    assert answer.status_code == 429
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text == "Retry later\n"
    assert "Retry-After" not in answer.headers


def test_no_key_and_no_json_are_refused(sb: Sandbox, call: Any) -> None:
    assert requests.get(f"{sb.url}/kit/v4/account", timeout=5).status_code == 401
    assert call("POST", "/v4/subscribers", None, key="k").status_code == 400


def test_v3_takes_the_secret_in_the_body(sb: Sandbox) -> None:
    def post(path: str, body: dict) -> requests.Response:
        return requests.post(f"{sb.url}/kit/v3{path}", json=body, timeout=5)

    assert post("/purchases", {"purchase": PURCHASE}).status_code == 401
    refused = post("/purchases", {"api_secret": "s", "purchase": {**PURCHASE, "transaction_id": ""}})
    assert refused.status_code == 400
    assert refused.json() == {"error": "Your request is missing parameters", "message": "transaction_id can't be blank"}
    first, again = (post("/purchases", {"api_secret": "s", "purchase": PURCHASE}).json() for _ in range(2))
    assert first == again
    assert first["transaction_id"] == "ord_1"
    assert first["currency"] == "EUR"
    joined = post("/sequences/301/subscribe", {"api_key": "k", "email": "ada@example.com"}).json()["subscription"]
    assert joined["subscribable_id"] == 301
    assert sb.kit.sequence_members == {301: ["ada@example.com"]}
    secrets = [c.json["api_secret"] for c in sb.calls("kit", path="/v3/purchases") if "api_secret" in c.json]
    assert set(secrets) == {"s…"}
