"""The gateway's own HTTP server: waitress on a thread, which can be asked whether it is busy."""

from __future__ import annotations

import errno
import socket
import threading
import time

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

from local.gateway.errors import PortInUse

HOST = "127.0.0.1"
# A call that goes through several functions holds a thread per hop.
THREADS = 128


class HttpServer:
    """Listens as soon as it is made; raises PortInUse."""

    def __init__(self, app: Flask, port: int) -> None:
        self._server = create_server(
            app,
            sockets=[_bind(port)],
            threads=THREADS,
            ident=None,
            backlog=1024,
            connection_limit=1000,
            asyncore_use_poll=True,
            log_socket_errors=False,
        )
        self.port: int = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="gateway", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no call is at hand and every answer is sent; False after `seconds`."""
        deadline = time.monotonic() + seconds
        while any(
            channel.requests or channel.total_outbufs_len for channel in list(self._server.active_channels.values())
        ):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    def refuse_new(self) -> None:
        """Close the listener; connections that are there stay."""
        self._in_loop(lambda: wasyncore.dispatcher.close(self._server))

    def close(self) -> None:
        """Close everything; what is still at hand is lost."""
        self._in_loop(lambda: wasyncore.close_all(self._server._map))
        self._server.task_dispatcher.shutdown(timeout=1)
        self._thread.join()

    def _in_loop(self, action) -> None:
        """Run on the server's thread, which alone may change its map of sockets."""
        done = threading.Event()

        def run() -> None:
            try:
                action()
            finally:
                done.set()

        self._server.trigger.pull_trigger(run)
        done.wait(5)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortInUse(
            f"port {port} on {HOST} is in use by another program: end that one, or choose another"
            " port (0 takes any free one)"
        ) from error
    return listener
