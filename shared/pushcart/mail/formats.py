"""Amounts, times, countries and lists as a reader of one locale expects them, by Babel's CLDR data."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_datetime_format, get_timezone_gmt, get_timezone_name
from babel.lists import format_list
from babel.numbers import get_currency_precision

from pushcart.clock import from_instant
from pushcart.domain import money

_DAY_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}")
# CLDR's currencySpacing, which Babel leaves out: "KWD 1.500", not "KWD1.500".
_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")


class Amount(str):
    """An amount of money that prints in the reader's locale; false when it is zero.

    `amount` is in minor units of `currency`.
    """

    amount: int
    currency: str

    def __new__(cls, text: str, amount: int, currency: str) -> Amount:
        made = super().__new__(cls, text)
        made.amount, made.currency = amount, currency
        return made

    def __bool__(self) -> bool:
        return self.amount != 0


class Moment(str):
    """A time that prints in the reader's locale and the shop's time zone; `at` is the aware datetime."""

    at: datetime

    def __new__(cls, text: str, at: datetime) -> Moment:
        made = super().__new__(cls, text)
        made.at = at
        return made


def locale_of(tag: str | None, country: str | None = None) -> Locale | None:
    """The CLDR locale of a BCP 47 tag (`pl`, `zh-HK`); of its language alone when the region is unknown.

    A tag without a region takes the reader's `country` where CLDR knows the two together: `en` of a buyer in Great
    Britain is `en-GB`. None for None, `auto` (Stripe's word for "as the browser says") and what CLDR does not know.
    """
    tag = (tag or "").replace("_", "-")
    with_country = [f"{tag}-{country}"] if country and "-" not in tag else []
    for attempt in (*with_country, tag, tag.partition("-")[0]):
        try:
            return Locale.parse(attempt, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return None


def tag_of(locale: Locale) -> str:
    """The locale as a BCP 47 tag: `zh-Hant-HK`."""
    return str(locale).replace("_", "-")


class Formats:
    """Formats values for one reader: their `locale`, the shop's `timezone` (an IANA name)."""

    def __init__(self, locale: Locale, timezone: str) -> None:
        self.locale = locale
        self.timezone = ZoneInfo(timezone)

    def money(self, amount: int, currency: str) -> Amount:
        """Minor units as text: 4900, "eur" is `€49.00` in en, `49,00 €` in pl. Never rounds."""
        code = currency.upper()
        value = money.to_decimal(amount, code)
        # CLDR writes RSD or ISK without decimals, yet Stripe's amounts may hold some: then they are shown.
        usual = get_currency_precision(code)
        whole = value == round(value, usual)
        digits = usual if whole else money.decimals(code)
        pattern = copy.copy(self.locale.currency_formats["standard"])
        pattern.frac_prec = (digits, digits)
        text = pattern.apply(Decimal(value), self.locale, currency=code, currency_digits=False)
        return Amount(_LETTER_BEFORE_DIGIT.sub("\N{NO-BREAK SPACE}", text), amount, code)

    def day(self, value: str | date) -> str:
        """The day in the shop's time zone: `21 November 2026`. Takes a `Moment`, ISO text or a datetime."""
        return format_date(self._local(value), "long", locale=self.locale)

    def moment(self, value: str | date) -> Moment:
        """Day and minute with the zone: `21 November 2026, 09:45 CET`."""
        moment = self._local(value)
        time = f"{format_time(moment, 'short', locale=self.locale)} {self._zone(moment)}"
        pattern = str(get_datetime_format("long", locale=self.locale)).replace("'", "")
        text = pattern.replace("{0}", time).replace("{1}", format_date(moment, "long", locale=self.locale))
        return Moment(text, moment)

    def country(self, code: str | None) -> str:
        """The country's name in the reader's language; the code itself when CLDR does not know it."""
        if not code:
            return ""
        return self.locale.territories.get(code.upper(), code)

    def listing(self, items: Sequence[str]) -> str:
        """`a, b and c`, each item once."""
        return format_list(list(dict.fromkeys(items)), locale=self.locale)

    def _zone(self, moment: datetime) -> str:
        name = get_timezone_name(moment, width="short", locale=self.locale)
        # Where CLDR has no abbreviation Babel gives a long name or "+0100"; readers know GMT+01:00.
        short = name.isalpha() and len(name) <= 5
        return name if short else get_timezone_gmt(moment, width="long", locale=self.locale)

    def _local(self, value: str | date) -> datetime:
        if isinstance(value, Moment):
            moment = value.at
        elif isinstance(value, str) and not _DAY_ONLY.fullmatch(value):
            moment = from_instant(value)
        elif isinstance(value, datetime):
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        else:  # a day, which is the same day in every zone
            day = date.fromisoformat(value) if isinstance(value, str) else value
            return datetime(day.year, day.month, day.day, tzinfo=self.timezone)
        return moment.astimezone(self.timezone)
