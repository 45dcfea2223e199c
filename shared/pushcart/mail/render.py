"""Renders a mail: `mails/NAME.html` and `mails/NAME.txt`, in the reader's language where there is a variant.

The first line of `NAME.txt` is `Subject: ...`, then an empty line, then the text. Templates run in Jinja's
sandbox; HTML is escaped, an unknown name is an error that says where it stands and what there is.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
from babel import Locale
from jinja2.ext import Extension
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from pushcart.errors import PushcartError
from pushcart.mail.formats import Amount, Formats, Moment, locale_of

#: Columns of the plain text; RFC 5322 advises 78 at most.
WIDTH = 76

_TEMPLATE = re.compile(r"[^.]+\.([A-Za-z0-9-]+\.)?(html|txt)")
_TAG = re.compile(r"{%.*?%}|{#.*?#}")
#: What a template can raise while it runs: Jinja's own errors and those of the expressions in it.
_RUN_ERRORS = (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class TemplateError(PushcartError):
    """A mail template is wrong or missing: the mail fails until the template is mended."""

    http_status = 422
    code = "template"


@dataclass(frozen=True)
class Rendered:
    """A finished mail; `subject` is one line."""

    subject: str
    html: str
    text: str


class _Unknown(jinja2.StrictUndefined):
    """Any use of an unknown name is an error that lists the names there are."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name = self._undefined_name
        if isinstance(self._undefined_obj, Mapping):
            known = ", ".join(sorted(str(key) for key in self._undefined_obj)) or "nothing"
            return f"there is no {name!r} here; there is {known}"
        if self._undefined_obj is None:
            return f"{name!r} is asked of something this mail does not have; wrap it in {{% if %}}"
        return self._undefined_hint or f"there is nothing called {name!r}"


class _KeepLineEnds(Extension):
    """Keeps the line end after a tag that closes a line with words on it.

    Jinja's `trim_blocks` would join that line and the next, while lines of tags alone should leave no gap.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return "\n".join(
            f'{line}{{{{ "" }}}}' if line.endswith(("%}", "#}")) and _TAG.sub("", line).strip() else line
            for line in (line.rstrip() for line in source.split("\n"))
        )


class Renderer:
    """Renders the templates of one folder; a changed file takes effect at the next mail."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jinja = SandboxedEnvironment(
            loader=jinja2.FileSystemLoader(folder),
            autoescape=lambda name: name is not None and name.endswith(".html"),
            undefined=_Unknown,
            finalize=lambda value: "" if value is None else value,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_KeepLineEnds],
        )
        self._jinja.filters.update(money=_money, date=_date, datetime=_datetime, country=_country)

    def written_in(self, name: str, locale: Locale) -> Locale | None:
        """The locale of the variant a reader of `locale` gets; None when there is none for them."""
        tag = self._variant(name, locale).partition(".")[2]
        return locale_of(tag) if tag else None

    def render(self, name: str, context: Mapping[str, Any], formats: Formats) -> Rendered:
        """The mail `name` for a reader of `formats`' locale. Raises `TemplateError`."""
        variant = self._variant(name, formats.locale)
        values = {**context, "formats": formats}
        html = self._run(f"{variant}.html", values)
        subject, text = _split(self._run(f"{variant}.txt", values), f"{variant}.txt")
        return Rendered(subject, html.strip() + "\n", wrap(text))

    def problems(self, *required: str) -> list[str]:
        """Every mistake that shows without sending: bad syntax, half a pair, a missing `required` mail."""
        names = sorted(path.name for path in self._folder.glob("*") if _TEMPLATE.fullmatch(path.name))
        found = [problem for name in names if (problem := self._syntax_problem(name))]
        mails = [name for name in names if not name.startswith("_")]
        wanted = [f"{name}{suffix}" for name in required for suffix in (".html", ".txt")]
        wanted += [_partner(name) for name in mails]
        missing = sorted({name for name in wanted if name not in names})
        return found + [f"mails/{name} is missing; a mail needs its .html and its .txt" for name in missing]

    def _variant(self, name: str, locale: Locale) -> str:
        """`receipt.pt-BR`, else `receipt.pt`, else `receipt`."""
        language, script, territory = locale.language, locale.script, locale.territory
        choices = ((language, script, territory), (language, territory), (language, script), (language,))
        for tag in dict.fromkeys("-".join(filter(None, choice)) for choice in choices):
            if any((self._folder / f"{name}.{tag}.{kind}").exists() for kind in ("html", "txt")):
                return f"{name}.{tag}"
        return name

    def _run(self, file: str, values: Mapping[str, Any]) -> str:
        try:
            return self._jinja.get_template(file).render(values)
        except _RUN_ERRORS as error:
            raise TemplateError(self._explain(error)) from error

    def _syntax_problem(self, file: str) -> str | None:
        try:
            self._jinja.get_template(file)
        except _RUN_ERRORS as error:
            return self._explain(error)
        return None

    def _explain(self, error: Exception) -> str:
        if isinstance(error, jinja2.TemplateNotFound):
            return f"mails/{error.name} is missing"
        if isinstance(error, jinja2.TemplateSyntaxError):
            return f"mails/{error.name} line {error.lineno}: {error.message}"
        where = self._last_place(error)
        if isinstance(error, jinja2.TemplateError):
            return f"{where}: {error.message}"
        # Not the error's text: it may quote a value, such as the buyer's name.
        return f"{where}: an expression here fails with {type(error).__name__}"

    def _last_place(self, error: Exception) -> str:
        """The innermost template line in the traceback, which Jinja rewrites to template files."""
        place, trace = "mails", error.__traceback__
        while trace is not None:
            file = Path(trace.tb_frame.f_code.co_filename)
            if file.parent == self._folder:
                place = f"mails/{file.name} line {trace.tb_lineno}"
            trace = trace.tb_next
        return place


def wrap(text: str) -> str:
    """Plain text with lines of at most `WIDTH` columns, lists hanging; addresses and commands stay whole."""
    lines = []
    for line in text.strip().splitlines():
        words = line.lstrip()
        hanging = " " * (len(line) - len(words) + (2 if words.startswith(("- ", "* ")) else 0))
        wrapped = textwrap.wrap(line, WIDTH, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
        # Four spaces mark what has to be copied as it stands.
        lines += [line.rstrip()] if line.startswith("    ") else wrapped or [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _split(rendered: str, file: str) -> tuple[str, str]:
    first, _, rest = rendered.lstrip().partition("\n")
    word, colon, subject = first.partition(":")
    if word.strip().lower() != "subject" or not colon or not subject.strip():
        raise TemplateError(f"mails/{file} line 1: begin with `Subject: ...`")
    if rest.partition("\n")[0].strip():
        raise TemplateError(f"mails/{file} line 2: leave an empty line after the subject")
    return " ".join(subject.split()), rest


def _partner(name: str) -> str:
    return f"{name[:-5]}.txt" if name.endswith(".html") else f"{name[:-4]}.html"


@jinja2.pass_context
def _money(context: Context, value: int | Amount, currency: str | None = None) -> Amount:
    """`{{ 4900 | money }}`: minor units in `currency`, by default the order's."""
    if isinstance(value, Amount):
        return value
    return _formats(context).money(value, currency or context["order"]["currency"])


@jinja2.pass_context
def _date(context: Context, value: str | date) -> str:
    """`{{ order.paid_at | date }}`: the day alone."""
    return _formats(context).day(value)


@jinja2.pass_context
def _datetime(context: Context, value: str | date) -> Moment:
    """`{{ results.invite.expires_at | datetime }}`: day, minute and zone."""
    return _formats(context).moment(value)


@jinja2.pass_context
def _country(context: Context, code: str | None) -> str:
    """`{{ buyer.address.country | country }}`: the country's name."""
    return _formats(context).country(code)


def _formats(context: Context) -> Formats:
    return context["formats"]
