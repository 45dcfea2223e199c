"""The owner's own pages, such as terms and privacy: Markdown in, safe HTML out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pushcart.domain.pages import OWN_NAME

#: Pages that ours link to.
REQUIRED = {
    "terms": "write your terms of sale there, the order form links to it",
    "privacy": "say there what you keep about buyers, every page links to it",
}
#: Folders that the shop's own pages take.
TAKEN = frozenset("404 assets cancelled cart images order page products thank-you".split())


@dataclass(frozen=True)
class TextPage:
    """A page of the owner's: `name` is its folder, `title` its first heading; `html(root)` its text."""

    name: str
    title: str
    _tokens: tuple[Token, ...]

    def html(self, root: str) -> str:
        """The text; a link such as `/terms/` means the site's root, which is `root` as seen from the page."""
        for token in _inside(self._tokens):
            target = token.meta.get("own") if token.type == "link_open" else None
            if target is not None:
                token.attrSet("href", root + target)
        return str(_markdown.renderer.render(list(self._tokens), _markdown.options, {}))


@dataclass(frozen=True)
class Texts:
    pages: list[TextPage]
    mistakes: list[str]


#: HTML in the text is shown as text; markdown-it leaves out links to javascript: and the like by itself.
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


def read(folder: Path) -> Texts:
    """Every `NAME.md` in the folder, terms and privacy first, and what is wrong with them."""
    pages: list[TextPage] = []
    mistakes = [f"{folder / name}.md is missing; {why}" for name, why in REQUIRED.items() if not _there(folder, name)]
    order = list(REQUIRED)
    found = sorted(folder.glob("*.md"), key=lambda path: (order.index(path.stem) if path.stem in order else 9, path))
    for path in found:
        if not OWN_NAME.fullmatch(path.stem):
            mistakes.append(f"{path}: name it with lower case letters, digits and - only, it becomes the address")
        elif path.stem in TAKEN:
            mistakes.append(f"{path}: /{path.stem}/ is a page of the shop already; give the file another name")
        else:
            try:
                pages.append(_page(path))
            except ValueError as error:
                mistakes.append(f"{path}: {error}")
    return Texts(pages, mistakes)


def _there(folder: Path, name: str) -> bool:
    return (folder / f"{name}.md").is_file()


def _page(path: Path) -> TextPage:
    try:
        tokens = _markdown.parse(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if len(tokens) < 2 or tokens[0].type != "heading_open" or tokens[0].tag != "h1":
        raise ValueError("should begin with its title, such as: # Terms of sale")
    for token in _inside(tokens):
        href = str(token.attrGet("href") or "") if token.type == "link_open" else ""
        if href.startswith("/") and not href.startswith("//"):
            token.meta["own"] = href[1:]
    title = "".join(part.content for part in tokens[1].children or [] if part.type in ("text", "code_inline"))
    return TextPage(path.stem, title, tuple(tokens))


def _inside(tokens: list[Token] | tuple[Token, ...]) -> list[Token]:
    return [child for token in tokens for child in token.children or []]
