"""waitress with JSON errors, a full answer to callers it refuses, and an orderly stop.

waitress ends by dropping what is queued and in flight, and knows no signal: `Server.drain` mends that with
the server's own map of channels (waitress 3.0, pinned in requirements.txt).
"""

from __future__ import annotations

import socket
import time

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask, WSGITask

from runtime.app import call_id_of, error_document, too_large
from runtime.logs import log_request
from runtime.settings import Settings

LINGER_SECONDS = 2.0


class CallTask(WSGITask):
    """A call to the handler; while the server drains, its answer closes the connection."""

    def build_response_header(self) -> bytes:
        if self.channel.server.draining:
            self.set_close_on_finish()
        return super().build_response_header()


class RefusalTask(ErrorTask):
    """A request waitress itself refuses (unreadable, or far too large): answered in JSON and logged."""

    def execute(self) -> None:
        error, request = self.request.error, self.request
        call_id = call_id_of(request.headers.get("X_CALL_ID"))
        code, message = error.reason.lower().replace(" ", "_"), error.body
        if error.code == 413:
            code, message = "body_too_large", too_large(self.channel.server.max_body_bytes)
        document = error_document(code, message, call_id)
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), ("X-Call-Id", call_id)]
        self.set_close_on_finish()
        self.content_length = len(document)
        self.channel.linger = True
        self.write(document)
        log_request(
            method=getattr(request, "command", "-"),
            path=getattr(request, "path", "-"),
            status=error.code,
            ms=(time.time() - self.start_time) * 1000,
            call_id=call_id,
        )


class Channel(HTTPChannel):
    """One connection. Closing with unread input resets it, and the caller loses the refusal that was sent:
    after one, what still comes in is read and thrown away for a moment."""

    task_class = CallTask
    error_task_class = RefusalTask
    linger = False
    linger_until: float | None = None

    def writable(self) -> bool:
        # While a thread sends its answer itself, waitress would ask poll() for the same socket, be told that
        # it is writable, fail to get the lock and ask again: a loop that starves the very thread (the GIL's
        # convoy effect) until calls take seconds. Above the watermark the thread waits for this one to send.
        if self.requests and self.total_outbufs_len <= self.adj.outbuf_high_watermark:
            if not self.outbuf_lock.acquire(False):
                return False
            self.outbuf_lock.release()
        return super().writable()

    def write_soon(self, data) -> int:
        written = super().write_soon(data)
        # waitress tells of what is left while it holds the lock, which `writable` would then find taken.
        if self.total_outbufs_len:
            self.server.pull_trigger()
        return written

    def handle_write(self) -> None:
        if not (self.linger and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.total_outbufs_len and not self.will_close:
            return
        self.close_when_flushed = self.linger = False
        try:
            self.socket.shutdown(socket.SHUT_WR)
            self.linger_until = time.monotonic() + LINGER_SECONDS
        except OSError:
            self.will_close = True

    def readable(self) -> bool:
        if self.linger_until is None:
            return super().readable()
        if time.monotonic() >= self.linger_until:
            self.will_close = True
        return not self.will_close

    def handle_read(self) -> None:
        if self.linger_until is None:
            super().handle_read()
            return
        try:
            self.recv(65536)
        except OSError:
            self.will_close = True

    def is_idle(self) -> bool:
        return not (self.requests or self.request or self.total_outbufs_len or self.linger_until)


class Server:
    """One function's HTTP server; `port` is the one it really listens on."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        """Bind and listen; raises OSError when the address is taken."""
        self._server = create_server(
            app,
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            ident=None,
            # Twice the limit: waitress counts a chunked body's framing too. The app enforces the limit.
            max_request_body_size=2 * settings.max_body_bytes + 65536,
            asyncore_use_poll=True,
            connection_limit=500,
            log_socket_errors=False,
        )
        self._server.channel_class = Channel
        self._server.max_body_bytes = settings.max_body_bytes
        self._server.draining = False
        self._stopping = False
        self.port: int = int(self._server.effective_port)

    def request_stop(self) -> None:
        """Make `serve` return; safe in a signal handler."""
        self._stopping = True
        self._server.pull_trigger()

    def serve(self) -> None:
        """Serve until request_stop is called."""
        while not self._stopping:
            self._poll(1.0)

    def drain(self, seconds: float) -> int:
        """Refuse new connections, finish the calls at hand; returns how many were left after `seconds`."""
        server, deadline = self._server, time.monotonic() + seconds
        self._accept_what_waits()
        # The listener alone: server.close() would also close the trigger by which threads wake this loop.
        wasyncore.dispatcher.close(server)
        server.draining = True
        self._poll(0)
        while server.active_channels and time.monotonic() < deadline:
            for channel in list(server.active_channels.values()):
                if channel.is_idle():
                    channel.will_close = True
            self._poll(0.1)
        return sum(not channel.is_idle() for channel in server.active_channels.values())

    def _accept_what_waits(self) -> None:
        known = -1
        while known < len(self._server.active_channels):
            known = len(self._server.active_channels)
            self._server.handle_accept()

    def _poll(self, timeout: float) -> None:
        wasyncore.loop(timeout=timeout, use_poll=True, map=self._server._map, count=1)
