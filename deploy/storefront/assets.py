"""The style sheet and the scripts: read, made smaller, and named by what is in them."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from rcssmin import cssmin
from rjsmin import jsmin

from pushcart.errors import ConfigurationError

STATIC = Path(__file__).parent / "static"

CSS, SCRIPT = "assets/shop.css", "assets/shop.js"


@dataclass(frozen=True)
class Assets:
    """The style sheet (ours, then the owner's theme), the script, and the few lines that every page carries itself."""

    css: bytes
    script: bytes
    inline: str

    @classmethod
    def load(cls, theme: Path) -> Assets:
        """`theme` may be missing: the shop's looks are then our own."""
        try:
            own = theme.read_text(encoding="utf-8") if theme.exists() else ""
        except UnicodeDecodeError:
            raise ConfigurationError([f"{theme} is not UTF-8 text; save it as that"]) from None
        css = cssmin(f"{_read('shop.css')}\n{own}")
        return cls(css.encode(), jsmin(_read("shop.js")).encode(), jsmin(_read("inline.js")))

    @property
    def css_url(self) -> str:
        """From the site's root. The hash makes browsers fetch a changed file and keep an unchanged one."""
        return f"{CSS}?v={_hash(self.css)}"

    @property
    def script_url(self) -> str:
        return f"{SCRIPT}?v={_hash(self.script)}"

    @property
    def inline_hash(self) -> str:
        """What the Content-Security-Policy calls the inline script (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
        return "sha256-" + base64.b64encode(hashlib.sha256(self.inline.encode()).digest()).decode()

    def write(self, folder: Path) -> None:
        (folder / "assets").mkdir()
        (folder / CSS).write_bytes(self.css)
        (folder / SCRIPT).write_bytes(self.script)


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:10]
