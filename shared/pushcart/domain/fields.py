"""The kinds of value that shop.yml is made of; each says in words what it should be."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(min_length=1)]
Mail = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+\Z", description="a mail address")]
Sku = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,49}\Z", description="letters, digits, - and _")]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}\Z", description="lower case letters, digits and -")]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s/]+(/\S*)?\Z", description="an address beginning with https://")]
Origin = Annotated[str, Meta(pattern=r"^https?://[^\s/]+\Z", description="an origin such as https://you.carrd.co")]
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{2,40}\Z", description="2 to 40 letters, digits, - and _")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z", description="a country's two letters, such as PL")]
Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", description="a day such as 2026-12-31")]


class Struct(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A part of shop.yml; an unknown key is a mistake, not a comment."""
