"""The process of one function: `python index.py`, behind of-watchdog or the local gateway.

It imports function/handler.py, calls its optional start(), serves handle(event, context) until SIGTERM, calls
the optional stopping(), finishes the calls at hand and calls the optional stop(). It exits 0 only when it was
told to stop: after any other end a watchdog must see a failure, or it would answer 500 for ever.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
from types import ModuleType

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.path.join(HERE, "function", "shared")
# Python puts the folder a symbolic link points to here; the function lies beside the link.
sys.path[0] = HERE
if os.path.isdir(SHARED):
    sys.path.insert(1, SHARED)

from runtime import logs  # noqa: E402
from runtime.app import create_app  # noqa: E402
from runtime.logs import log  # noqa: E402
from runtime.server import Server  # noqa: E402
from runtime.settings import ConfigurationError, Settings, function_name  # noqa: E402


def load_handler() -> ModuleType:
    """Import function/handler.py; raises ConfigurationError when it or its handle is missing."""
    try:
        handler = importlib.import_module("function.handler")
    except ModuleNotFoundError as error:
        if error.name not in ("function", "function.handler"):
            raise
        raise ConfigurationError(f"there is no handler.py in {os.path.join(HERE, 'function')}") from error
    if not callable(getattr(handler, "handle", None)):
        raise ConfigurationError("function/handler.py defines no handle(event, context)")
    return handler


def prepare() -> tuple[Settings, ModuleType, Server]:
    """Everything up to a listening server."""
    settings = Settings.from_environment(os.environ)
    handler = load_handler()
    logs.show_paths_as(getattr(handler, "shown_path", str))
    getattr(handler, "start", lambda: None)()
    try:
        server = Server(create_app(handler.handle, settings.max_body_bytes), settings)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise ConfigurationError(f"cannot listen on {where} ({error.strerror}); set another port") from error
    return settings, handler, server


def tell(handler: ModuleType, hook: str) -> int:
    """Call the handler's optional hook; returns the exit status it leads to."""
    try:
        getattr(handler, hook, lambda: None)()
    except (Exception, SystemExit):
        log.exception("the handler's %s() failed", hook)
        return 1
    return 0


def main() -> int:
    """Run the function; returns the exit status."""
    logs.configure(function_name(os.environ))
    try:
        settings, handler, server = prepare()
    # SystemExit too: a handler that calls exit() while it is imported must not look like a wanted stop.
    except (Exception, SystemExit) as error:
        configuration = any(cls.__name__.endswith("ConfigurationError") for cls in type(error).__mro__)
        log.error("cannot start: %s", error, exc_info=None if configuration else error)
        return 1
    # Later signals are ignored by the flag: a Ctrl-C and the gateway's SIGTERM often come together.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.request_stop())
    # What is loaded by now stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    log.info("listening", extra={"host": settings.host, "port": server.port, "threads": settings.threads})
    try:
        server.serve()
        status = tell(handler, "stopping")
        unfinished = server.drain(settings.drain_seconds)
    except Exception:
        log.exception("serving died")
        return 1
    if unfinished:
        log.warning("stopped with calls unfinished", extra={"unfinished": unfinished})
    status = tell(handler, "stop") or status
    log.info("stopped")
    return status


if __name__ == "__main__":
    STATUS = main()
    logging.shutdown()
    sys.stdout.flush()
    # Not sys.exit: a thread some library left behind must not keep a stopped container alive.
    os._exit(STATUS)
