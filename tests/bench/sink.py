"""Answers everything alike, cheaply: a gateway that takes every hint, or a provider that has its answer at hand."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

#: Stands in a body for the number of the answer, so that no two are the same.
NUMBER = "00000number00000"

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Sink(asyncio.Protocol):
    """One connection. Every request is answered with `status` and `body`, and in that a number of `numbers`."""

    def __init__(self, status: str, body: str, numbers: Iterator[int]) -> None:
        kind = "Content-Type: application/json\r\n" if body else ""
        head = f"HTTP/1.1 {status}\r\n{kind}Content-Length: {len(body.encode())}\r\n\r\n"
        self._answer, self._numbers = (head + body).encode(), numbers
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
            number = f"{next(self._numbers):0{len(NUMBER)}}"
            self._transport.write(self._answer.replace(NUMBER.encode(), number.encode()))


@contextmanager
def sink(status: str = "202 Accepted", body: str = "") -> Iterator[int]:
    """The port of a sink in a process of its own. `NUMBER` in the JSON `body` is another number in each answer."""
    process = subprocess.Popen([sys.executable, __file__, status, body], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


async def serve(status: str, body: str) -> None:
    numbers = count(1)
    server = await asyncio.get_running_loop().create_server(lambda: Sink(status, body, numbers), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
