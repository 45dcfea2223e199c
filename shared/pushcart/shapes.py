"""Makes msgspec ready for threads."""

from __future__ import annotations

import msgspec


def warm() -> None:
    """Prepares every Struct that is imported by now; to be called before there is a second thread.

    msgspec (0.22) works out a Struct's fields at its first use and keeps them half-made meanwhile: a second thread
    that meets the same Struct then reads through a null pointer, and the process is gone.
    """
    waiting = [msgspec.Struct]
    while waiting:
        for shape in waiting.pop().__subclasses__():
            msgspec.json.Decoder(shape)
            waiting.append(shape)
