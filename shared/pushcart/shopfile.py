"""Where shop.yml comes from and how it is taken up: the packed file, another one, or the secret `shop`."""

from __future__ import annotations

import logging
import re
import threading
from decimal import Decimal
from pathlib import Path

import msgspec
import yaml

from pushcart import shopcheck
from pushcart.config import Config
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import CatalogueError

log = logging.getLogger(__name__)

#: Where faas-cli puts `deploy/shop` in the function's build context, beside `shared/`; the same in a checkout.
PACKED = Path(__file__).parents[2] / "deploy" / "shop"

#: Our own mails, each `NAME.html` and `NAME.txt` beside shop.yml.
MAILS = "mails"


class _Loader(yaml.SafeLoader):
    """YAML with exact decimals, because 49.90 as a binary float is not 49.90."""


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | Decimal:
    """A plain decimal number. YAML would also take 010 for eight and 1:30 for ninety."""
    text = str(loader.construct_scalar(node))
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,9}", text):
        return Decimal(text)
    raise yaml.constructor.ConstructorError(
        None, None, f"{text!r} is no plain number; write it like 49.00", node.start_mark
    )


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))


def shop_folder(config: Config) -> Path:
    """The folder that holds shop.yml and the mails: `shop_file`'s, or the one packed into the function."""
    return Path(config["shop_file"]).parent if config["shop_file"] else PACKED


def load(config: Config) -> Catalogue:
    """The catalogue: the secret `shop` if it has content, else `shop_file`, else the packed file.

    A function that reads the variable `site_url` has it in place of the shop's address. Raises `CatalogueError` with
    every mistake.
    """
    folder = shop_folder(config)
    text = config.secret_text("shop")
    if text:
        catalogue = parse(text, "the secret shop", folder / MAILS)
    else:
        catalogue = read(Path(config["shop_file"]) if config["shop_file"] else folder / "shop.yml")
    if config.declares("site_url") and config["site_url"]:
        catalogue.shop.url = config["site_url"]
    return catalogue


def read(path: Path) -> Catalogue:
    """The catalogue in the file `path`, with its mails beside it. Raises `CatalogueError` with every mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CatalogueError([f"{path} cannot be read ({error.strerror}); it says what the shop sells"]) from None
    except UnicodeDecodeError:
        raise CatalogueError([f"{path} is not UTF-8 text"]) from None
    return parse(text, path.name, path.parent / MAILS)


class Reloading:
    """The catalogue, read again when its file or secret changed; a changed file with mistakes keeps the old one.

    Called, from any thread, it gives the `Catalogue`; whoever calls while it is read waits for what was read.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._reading = threading.Lock()
        self._state = self._stamp()
        self._catalogue = load(config)

    def __call__(self) -> Catalogue:
        if self._stamp() != self._state:
            with self._reading:
                self._read_again()
        return self._catalogue

    def _read_again(self) -> None:
        state = self._stamp()
        if state == self._state:
            return
        try:
            self._catalogue = load(self._config)
        except CatalogueError as error:
            log.error("the changed shop.yml is not used: %s", error.message)
        # Last, or a cart that comes while the file is read is sold at the old price.
        self._state = state

    def _stamp(self) -> tuple[tuple[str, int, int], ...]:
        file = self._config["shop_file"] or str(PACKED / "shop.yml")
        stamps = []
        for path in (Path(self._config["secret_mount_path"], "shop"), Path(file)):
            try:
                about = path.stat()
            except OSError:
                continue
            stamps.append((str(path), about.st_mtime_ns, about.st_size))
        return tuple(stamps)


def parse(text: str, source: str = "shop.yml", mails: Path | None = None) -> Catalogue:
    """The catalogue in `text`. `CatalogueError` lists every mistake as `source line N: where: what`.

    With `mails`, the folder of our templates, a mail that names a missing one is a mistake too.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        loaded = None if root is None else loader.construct_document(root)
        lines = shopcheck.Lines(root)
    except RecursionError:
        raise CatalogueError([f"{source}: nested too deeply, or an alias that holds itself"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise CatalogueError([f"{source}{line}: not YAML: {getattr(error, 'problem', error)}"]) from None
    mistakes = list(lines.duplicates)
    if isinstance(loaded, dict):
        mistakes += shopcheck.in_fields(loaded, Catalogue) + shopcheck.across_fields(loaded, mails)
    else:
        mistakes.append(("", "write the sections shop: and products:"))
    if mistakes:
        ordered = sorted((lines.of(place), place, what) for place, what in mistakes)
        raise CatalogueError([f"{source} line {line}: {place or 'the file'}: {what}" for line, place, what in ordered])
    return msgspec.convert(loaded, Catalogue)
