"""Text that would like to be obeyed, and whether a page, a mail or a terminal would obey it."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from html.parser import HTMLParser

from local.sandbox.records import Mail

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
TERMINAL = "\x1b[31m\x1b]0;owned\x07\x9b2J"
HEADER = "\r\nBcc: victim@evil.example\r\n\r\n"

#: All of it, in less than the 200 characters that a field of a cart takes.
EVIL = f"Eve {SCRIPT}{IMAGE}{HEADER}{TERMINAL}\N{RIGHT-TO-LEFT OVERRIDE}end"

#: Elements that no mail of ours has.
FOREIGN = {"script", "img", "iframe", "object", "form", "svg", "link"}

#: Control and format characters, half ones, and the separators that some take for the end of a line.
COMMANDS = ("Cc", "Cf", "Cs", "Zl", "Zp")


def obeyed(text: str, white: Collection[str] = "\n\t") -> list[str]:
    """The characters that would make a terminal or a mail program do something, but for those in `white`."""
    return [letter for letter in text if letter not in white and unicodedata.category(letter) in COMMANDS]


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.runs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.runs += [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "").lower()]


def tags(page: str) -> set[str]:
    """The names of a page's elements; fails when an attribute of one runs something."""
    found = _Elements()
    found.feed(page)
    assert not found.runs
    return found.names


def assert_harmless(mail: Mail) -> None:
    """Nothing in the mail runs, and nothing in it went where a header would have sent it."""
    assert not FOREIGN & tags(mail.html)
    assert "<script" not in mail.html
    assert not obeyed(mail.text)
    assert not obeyed(mail.html)
    assert not obeyed(mail.subject, white="")
    assert not [*mail.bcc, *mail.cc]
    assert not any("evil.example" in address for address in [*mail.to, mail.reply_to, mail.from_])
    assert "Bcc" not in mail.headers
