"""`pushcart doctor`: everything that can be found wrong without changing anything.

First this machine, then the gateway, then each function about itself, because what counts is what is deployed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import msgspec
import requests
from rich.text import Text

from cli import connect
from cli.connect import ROOT, Shop, Unreachable
from cli.output import STYLES, as_json_option, clean, coloured, print_json, say, table
from pushcart import doctor as checks
from pushcart import shapes
from pushcart.clock import to_instant
from pushcart.doctor import Check
from pushcart.errors import FunctionFailed
from pushcart.gateway import COLD_START_WAITS
from pushcart.services.metrics.acktimes import WEBHOOKS

#: The check that somebody is there at all.
ANSWERS = "answers"

#: A check, and where it was made.
Finding = tuple[str, Check]


@click.command()
@as_json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Examine the shop. Exits 1 when something is wrong, 3 when there is no gateway."""
    # Only here: both take a while to import.
    from cli import machine
    from local.gateway.errors import StackError
    from local.gateway.stack import read_stack

    shop: Shop = context.obj
    try:
        stack = read_stack(ROOT / "stack.yml")
    except StackError as error:
        raise click.ClickException(str(error)) from None
    findings: list[Finding] = [("this machine", check) for check in machine.examine(stack, local=shop.place.local)]
    gateway = _gateway(shop)
    findings.append(("gateway", gateway))
    if gateway.status == "pass":
        findings += _functions(shop, list(stack.functions))
    ill = checks.failed([check for _, check in findings])
    if as_json:
        print_json({"ok": not ill, "checks": [{"where": where, **msgspec.to_builtins(one)} for where, one in findings]})
    else:
        _show(findings)
    context.exit(Unreachable.exit_code if gateway.status == "fail" and gateway.name == ANSWERS else int(ill))


def _gateway(shop: Shop) -> Check:
    """That there is a gateway, and a key to sign the calls through it with."""
    try:
        shop.place.key()
        requests.get(f"{shop.place.url}/healthz", timeout=10)
    except click.UsageError as error:
        return Check(name="key", status="fail", text=error.message)
    except Unreachable as error:
        return Check(name=ANSWERS, status="fail", text=error.message)
    except requests.RequestException:
        return Check(name=ANSWERS, status="fail", text=shop.place.silence())
    return Check(name=ANSWERS, status="pass", text=shop.place.url)


def _functions(shop: Shop, names: list[str]) -> list[Finding]:
    """All functions at once, each about itself; a public one is looked at from outside."""
    shop.gateway  # noqa: B018 - made before the threads share it
    shapes.warm()
    with ThreadPoolExecutor(len(names)) as pool:
        asked = pool.map(lambda name: OUTSIDE.get(name, _ask)(shop, name), names)
        return [(name, check) for name, found in zip(names, asked, strict=True) for check in found]


def _ask(shop: Shop, name: str) -> list[Check]:
    query = {"now": to_instant(shop.place.clock())}
    try:
        answer = shop.gateway.call(name, checks.PATH, method="GET", query=query)
        return msgspec.convert(answer["checks"], list[Check])
    except FunctionFailed as error:
        text, status = error.message, error.status
    except (msgspec.ValidationError, KeyError, TypeError):
        text, status = "an answer that is no doctor's; another version of Pushcart may be deployed", 200
    fix = connect.logs(shop.place, name)
    if status == 401:
        fix = "sign with the internal key that is deployed (--key-file), and let both clocks agree"
    return [Check(name=ANSWERS, status="fail", text=text, fix=fix)]


#: What a public function answers to an empty call that nobody signed, and what that says about it.
REFUSALS: dict[tuple[int, str], tuple[checks.Status, str]] = {
    (400, "bad_signature"): ("pass", "refuses a call without its provider's signature"),
    (400, "bad_request"): ("pass", "refuses a call that is none of its provider's"),
    (401, "unauthorised"): ("pass", "refuses a call without the secret of its address"),
    (404, "not_found"): ("skip", "this shop does not use it"),
}


def _webhook(shop: Shop, name: str) -> list[Check]:
    """Nobody but the provider can sign, so the right answer to us is that very refusal."""
    try:
        response = _post_unsigned(f"{shop.place.url}/function/{name}")
        code = msgspec.json.decode(response.content)["error"]["code"]
    except requests.RequestException as error:
        text = f"no answer ({type(error).__name__})"
    except (msgspec.DecodeError, KeyError, TypeError):
        text = f"{response.status_code}, and not our refusal of an unsigned call"
    else:
        if (response.status_code, code) in REFUSALS:
            status, text = REFUSALS[response.status_code, code]
            return [Check(name=ANSWERS, status=status, text=text)]
        text = f"{response.status_code} {code} where an unsigned call should be refused"
    return [Check(name=ANSWERS, status="fail", text=text, fix=connect.logs(shop.place, name))]


def _post_unsigned(url: str) -> requests.Response:
    """The answer to an empty POST, once the function is started."""
    for wait in (*COLD_START_WAITS, None):
        response = requests.post(url, data=b"", timeout=30)
        if wait is None or "X-OpenFaaS-Internal" not in response.headers:
            break
        time.sleep(wait)
    return response


#: Public functions, which take no signed call of ours, and how each is looked at instead.
OUTSIDE: dict[str, Callable[[Shop, str], list[Check]]] = dict.fromkeys(WEBHOOKS, _webhook)


def _show(findings: list[Finding]) -> None:
    rows: list[Any] = []
    last = ""
    for where, check in findings:
        found = Text(clean(check.text), style="dim" if check.status == "skip" else "")
        if check.fix and check.status in ("fail", "warn"):
            found.append(f"\n→ {clean(check.fix)}", style=STYLES[check.status])
        rows.append(("" if where == last else where, coloured(check.status), check.name, found))
        last = where
    table(("Where", "", "Check", "Found"), rows, whole=("Where", "", "Check"))
    counts = {status: sum(check.status == status for _, check in findings) for status in ("fail", "warn")}
    if counts["fail"]:
        say(f"{counts['fail']} wrong, {counts['warn']} to look at.")
    else:
        say("Everything is well." if not counts["warn"] else f"Nothing is wrong, {counts['warn']} to look at.")
