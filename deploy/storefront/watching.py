"""Builds the site, and builds it again whenever something it is made of changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from watchfiles import watch

from pushcart import shopfile
from pushcart.errors import ConfigurationError
from storefront.assets import STATIC
from storefront.building import Built, build
from storefront.pages import TEMPLATES

#: Milliseconds to gather changes: an editor writes a file in several steps.
GATHER = 300
#: Milliseconds after which it looks whether it should stop.
WAKE = 250


class Rebuilder:
    """Builds `shop_file` and the owner's folder `site` into `out`; `overrides` are `build`'s own.

    `built` is told of each finished build, `mistaken` gets the mistakes of a failed one; the old site stays then.
    """

    def __init__(
        self,
        shop_file: Path,
        site: Path,
        out: Path,
        *,
        built: Callable[[Built], None],
        mistaken: Callable[[list[str]], None],
        **overrides: Any,
    ) -> None:
        self._shop_file = shop_file.resolve()
        self._site = site.resolve()
        self._out = out
        self._built = built
        self._mistaken = mistaken
        self._overrides = overrides

    def build(self) -> bool:
        """Builds once; False when there were mistakes."""
        try:
            catalogue = shopfile.read(self._shop_file)
            done = build(catalogue, self._out, site=self._site, **self._overrides)
        except ConfigurationError as error:
            self._mistaken(error.problems)
            return False
        except OSError as error:  # such as a full disk, or a file that goes away while it is read
            self._mistaken([f"{error.filename or self._out}: {error.strerror or error}"])
            return False
        self._built(done)
        return True

    def run(self, stop: threading.Event) -> None:
        """Builds, and again after each change, until `stop` is set or somebody presses Ctrl-C."""
        folders = {self._shop_file.parent, TEMPLATES, STATIC}
        folders.add(self._site if self._site.is_dir() else self._site.parent)
        changes = watch(
            *sorted(folders),
            watch_filter=lambda _, path: self._matters(Path(path)),
            debounce=GATHER,
            step=50,
            rust_timeout=WAKE,
            # The first build waits for the first time-out, so that a change during that build is not missed.
            yield_on_timeout=True,
            stop_event=stop,
            raise_interrupt=False,
        )
        begun = False
        for changed in changes:
            if changed or not begun:
                begun = True
                self.build()

    def _matters(self, path: Path) -> bool:
        if path.name.startswith(".") or path.name.endswith(("~", ".swp")):
            return False
        parts = (self._site, TEMPLATES, STATIC)
        return path == self._shop_file or any(path.is_relative_to(part) for part in parts)
