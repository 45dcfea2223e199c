"""Where hints end in the measurement of acknowledgements: a gateway that answers 202 to everything, cheaply."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Sink(asyncio.Protocol):
    """One connection. `status` is what every request is answered with."""

    def __init__(self, status: bytes) -> None:
        self._answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            length = CONTENT_LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            self._received = rest[size:]
            self._transport.write(self._answer)


@contextmanager
def sink(status: str = "202 Accepted") -> Iterator[int]:
    """The port of a sink in a process of its own."""
    process = subprocess.Popen([sys.executable, __file__, status], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


async def serve(status: str) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Sink(status.encode()), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
