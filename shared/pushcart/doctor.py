"""The doctor: what a function can see is wrong from where it runs, asked for by `pushcart doctor`.

    GET /doctor?now=<the caller's time, an Instant>   signed · 200 {"checks": [Check, ...]}

A function names its probes; each runs in a thread of its own and ends as one or more checks, whatever happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from pushcart import commands
from pushcart.clock import Clock, from_instant, to_instant
from pushcart.config import Config
from pushcart.errors import BadRequest, ConfigurationError, ProviderBusy, PushcartError

if TYPE_CHECKING:
    from pushcart.store import Store
    from pushcart.web import Router

log = logging.getLogger(__name__)

PATH = "/doctor"

#: Seconds between two clocks from which the doctor warns, and from which it fails; signatures allow 300.
SKEW_WARNS, SKEW_FAILS = 30, 240

#: Seconds a function's probes may take together: less than any function's exec_timeout.
SECONDS = 30.0

#: Probes that run at the same time.
AT_ONCE = 8

Status = Literal["pass", "warn", "fail", "skip"]


class Check(msgspec.Struct, kw_only=True):
    """One finding. `text` says what was seen, `fix` what to do about it when something is wrong."""

    name: str
    status: Status
    text: str
    fix: str = ""


class Probe(NamedTuple):
    """One thing to look at: `run` gives the sentence of a check that passed, or checks, or raises our errors.

    `fix` is what to do when it raises.
    """

    run: Callable[[], str | list[Check]]
    fix: str = ""


Probes = Mapping[str, Probe]


def add(router: Router, config: Config, clock: Clock, probes: Callable[[], Probes]) -> None:
    """Gives a function its route; `probes` is asked at each call, because shop.yml may have changed."""
    router.add("GET", PATH, lambda request: answer(request.query, config, clock, probes))


def answer(query: Mapping[str, str], config: Config, clock: Clock, probes: Callable[[], Probes]) -> dict[str, Any]:
    """What the route answers. `BadRequest` when the caller's time is none."""
    everybody = {"configuration": Probe(lambda: settings(config.check))}
    clocks = compare_clocks("clock", query.get("now"), clock)
    return {"checks": msgspec.to_builtins([clocks, *run({**everybody, **probes()})])}


def settings(check: Callable[[], object]) -> str:
    """A passed check's sentence when `check` finds nothing wrong with variables and secrets; else its error."""
    check()
    return "variables and secrets are there and well formed"


def store(store: Store, function: str) -> Probe:
    """Whether this `function` reaches the store, and can write to it."""

    def ping() -> str:
        store.ping()
        return "can be read and written"

    return Probe(ping, f"look at the secret store-url and at the database; {commands.logs(function)}")


def compare_clocks(name: str, theirs: str | None, clock: Clock) -> Check:
    """How far the caller's clock is from ours. `BadRequest` when `theirs` is no `Instant`."""
    if not theirs:
        return Check(name=name, status="skip", text="the caller did not send its time")
    try:
        seconds = (from_instant(theirs) - clock()).total_seconds()
    except (ValueError, OverflowError):
        raise BadRequest(f"now={theirs!r} is no time; send it like {to_instant(clock())}.") from None
    return skew(name, seconds, "the caller's clock")


def skew(name: str, seconds: float, whose: str) -> Check:
    """A check of two clocks that are `seconds` apart; the other one is `whose`."""
    apart = abs(seconds)
    status: Status = "fail" if apart > SKEW_FAILS else "warn" if apart > SKEW_WARNS else "pass"
    if status == "pass":
        return Check(name=name, status=status, text=f"agrees with {whose} within {SKEW_WARNS} s")
    side = "ahead of" if seconds > 0 else "behind"
    return Check(
        name=name,
        status=status,
        text=f"{whose} is {apart:.0f} s {side} this function's; beyond 300 s signatures are refused",
        fix="let both machines take their time from the network: sudo timedatectl set-ntp true",
    )


def run(probes: Probes, seconds: float = SECONDS, at_once: int = AT_ONCE) -> list[Check]:
    """Every probe's checks, in the order of `probes`; one that takes longer than all may together has failed."""
    from concurrent.futures import ThreadPoolExecutor, wait  # only a doctor's call needs it

    pool = ThreadPoolExecutor(at_once, thread_name_prefix="doctor")
    asked = {name: pool.submit(_examine, name, probe) for name, probe in probes.items()}
    wait(asked.values(), timeout=seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    checks: list[Check] = []
    for name, future in asked.items():
        if future.done() and not future.cancelled():
            checks += future.result()
        else:
            text = f"no answer within {seconds:g} s"
            checks.append(Check(name=name, status="fail", text=text, fix=probes[name].fix))
    return checks


def failed(checks: list[Check]) -> bool:
    """Whether any check failed."""
    return any(check.status == "fail" for check in checks)


def _examine(name: str, probe: Probe) -> list[Check]:
    try:
        found = probe.run()
    except ConfigurationError as error:
        return [Check(name=name, status="fail", text="; ".join(error.problems), fix=probe.fix)]
    except ProviderBusy as error:
        return [Check(name=name, status="warn", text=error.message, fix="ask again in a minute")]
    except PushcartError as error:
        return [Check(name=name, status="fail", text=error.message, fix=probe.fix)]
    except Exception as error:
        log.exception("the doctor's probe %s", name)
        text = f"a mistake in Pushcart ({type(error).__name__}); this function's log says more"
        return [Check(name=name, status="fail", text=text, fix=probe.fix)]
    return [Check(name=name, status="pass", text=found)] if isinstance(found, str) else found
