"""Stripe's lists, cheaply, in a process of its own: so many events and sessions, made up as they are asked for.

Number 0 is the newest; each is a minute older than the one before. What they look like is a template's matter: in it
`NUMBER` stands for the number, and `CREATED` for the Unix second.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

NUMBER, CREATED = "00000number00000", "1111111111"

#: The kinds, by the path each is listed at and the beginning of its ids.
KINDS = {"/v1/events": "evt", "/v1/checkout/sessions": "cs_test_"}

#: Seconds between two of them.
EVERY = 60


class Lists(asyncio.Protocol):
    """One connection. `templates` by path; `count` of each, the newest made at `newest` (Unix)."""

    def __init__(self, templates: dict[str, str], count: int, newest: int) -> None:
        self._templates, self._count, self._newest = templates, count, newest
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            body = self._page(head.split(b" ", 2)[1].decode()).encode()
            answer = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(answer.encode() + body)

    def _page(self, target: str) -> str:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        asked = {name: values[0] for name, values in query.items()}
        after = asked.get("starting_after")
        if after is not None:
            first = int(after[-len(NUMBER) :]) + 1
        else:
            until = int(asked.get("created[lt]", int(asked.get("created[lte]", self._newest)) + 1))
            first = max(0, -(-(self._newest - until + 1) // EVERY))
        since = asked.get("created[gte]")
        last = min(self._count, (self._newest - int(since)) // EVERY + 1) if since else self._count
        numbers = range(first, max(first, min(first + int(asked["limit"]), last)))
        data = ",".join(self._one(path, number) for number in numbers)
        return f'{{"object":"list","data":[{data}],"has_more":{"true" if numbers.stop < last else "false"}}}'

    def _one(self, path: str, number: int) -> str:
        created = str(self._newest - number * EVERY)
        return self._templates[path].replace(NUMBER, f"{number:0{len(NUMBER)}}").replace(CREATED, created)


@contextmanager
def lists(folder: Path, templates: dict[str, str], count: int, newest: int) -> Iterator[str]:
    """The address of such a Stripe; `templates` by path."""
    for path, template in templates.items():
        (folder / KINDS[path]).write_text(template)
    command = [sys.executable, __file__, str(folder), str(count), str(newest)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


async def serve(folder: str, count: str, newest: str) -> None:
    files = {path: Path(folder) / name for path, name in KINDS.items()}
    templates = {path: file.read_text() for path, file in files.items() if file.exists()}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Lists(templates, int(count), int(newest)), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
