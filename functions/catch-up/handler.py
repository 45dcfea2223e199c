"""Called by cron every minute: has order-store take on what is due, under a lock of its own, and leaves a heartbeat.

    POST /         from cron-connector, empty and unsigned · 202
                   signed · 200 with what was swept, or that another run is at it
    GET  /         signed · the last heartbeat
    GET  /doctor   signed · what is wrong, seen from here

Cron-connector cannot sign, so an empty POST is let in; all it can do is start a sweep that would run within the
minute anyway, never two at a time, and it is told nothing of what there was to do.
"""

from __future__ import annotations

from typing import Any

from pushcart import auth, commands, doctor, shapes
from pushcart import clock as clocks
from pushcart.config import Config, Reads
from pushcart.crash import Point, point
from pushcart.errors import MethodNotAllowed, PushcartError
from pushcart.gateway import Gateway
from pushcart.repositories import Heartbeats, Locks
from pushcart.store import connect
from pushcart.web import require_signature

READS = Reads(variables=("gateway_url", "sweep_seconds"), needs=("internal-key", "store-url"))

JOB = "catch-up"

#: Seconds after which a heartbeat is too old: cron calls every minute, and a run may take one.
HEARTBEAT_AGE = 180

#: Seconds order-store may take beyond the sweep's own limit, to finish the step in hand.
MARGIN = 15


class App:
    """The function's parts, joined."""

    def __init__(self, config: Config, clock: clocks.Clock) -> None:
        self._config = config
        self._clock = clock
        self._timeout = config.number("sweep_seconds") + MARGIN
        self._store = connect(config.secret("store-url"))
        self._locks = Locks(self._store, clock)
        self._heartbeats = Heartbeats(self._store, clock)
        self._gateway = Gateway(
            config["gateway_url"], lambda: config.secret("internal-key"), clock, timeout=self._timeout
        )

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        try:
            cron = event.method == "POST" and not event.body and auth.HEADER not in event.headers
            if not cron:
                require_signature(event, self._config, self._clock)
            if event.method == "GET" and event.path == doctor.PATH:
                return {"statusCode": 200, "body": doctor.answer(event.query, self._config, self._clock, self._probes)}
            if event.method == "GET":
                return {"statusCode": 200, "body": {"last": self._heartbeats.last(JOB)}}
            if event.method != "POST":
                raise MethodNotAllowed("catch-up takes POST (run now) and GET (last heartbeat).")
            swept = self._run()
            return {"statusCode": 202} if cron else {"statusCode": 200, "body": swept}
        except PushcartError as error:
            return error.answer(context.log_fields, stranger=True)

    def _run(self) -> dict[str, Any]:
        token = self._locks.acquire(JOB, self._timeout + MARGIN)
        if token is None:
            return {"running": True}
        try:
            point(Point.SWEEP_LOCKED)
            swept = self._gateway.call("order-store", "/sweep")
            point(Point.SWEEP_DONE)
            self._heartbeats.beat(JOB, swept)
        finally:
            self._locks.release(JOB, token)
        return {"swept": swept}

    def _probes(self) -> doctor.Probes:
        fix = f"is cron-connector running, and Prometheus, which it needs? {commands.logs(JOB)}"
        return {"heartbeat": doctor.Probe(lambda: [self._heartbeat(fix)], "look at the secret store-url")}

    def _heartbeat(self, fix: str) -> doctor.Check:
        last = self._heartbeats.last(JOB)
        if last is None:
            return doctor.Check(name="heartbeat", status="fail", text="cron has never had a run finish", fix=fix)
        age = (self._clock() - clocks.from_instant(last["at"])).total_seconds()
        text = f"the last run ended {age:.0f} s ago"
        if age > HEARTBEAT_AGE:
            return doctor.Check(name="heartbeat", status="fail", text=text, fix=fix)
        return doctor.Check(name="heartbeat", status="pass", text=text)

    def close(self) -> None:
        self._gateway.close()
        self._store.close()


app: App


def start() -> None:
    """Reads the configuration; raises `ConfigurationError` with everything that is wrong."""
    global app
    shapes.warm()
    config = Config(READS)
    config.check()
    app = App(config, clocks.clock_from_environment())


def handle(event: Any, context: Any) -> dict[str, Any]:
    """One call, as the template makes it."""
    return app.handle(event, context)


def stop() -> None:
    """After the calls in flight: finish what is in hand and give the connections back."""
    app.close()
