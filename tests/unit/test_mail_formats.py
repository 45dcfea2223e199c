"""Amounts, times, countries and lists in the locales and currencies a shop meets."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from pushcart.mail.formats import Amount, Formats, Moment, locale_of, tag_of

NB = "\N{NO-BREAK SPACE}"
RLM = "\N{RIGHT-TO-LEFT MARK}"
PAID = "2026-11-21T23:30:00.000Z"


def formats(tag: str = "en-GB", timezone: str = "Europe/Warsaw") -> Formats:
    locale = locale_of(tag)
    assert locale is not None
    return Formats(locale, timezone)


@pytest.mark.parametrize(
    ("amount", "currency", "tag", "text"),
    [
        (4900, "EUR", "en", "€49.00"),
        (4900, "eur", "pl", f"49,00{NB}€"),
        (1234567, "PLN", "pl", f"12{NB}345,67{NB}zł"),
        (4900, "JPY", "en", "¥4,900"),
        (4900, "JPY", "ja", "￥4,900"),
        (1500, "KWD", "en", f"KWD{NB}1.500"),
        (1500, "KWD", "ar", f"{RLM}1.500{NB}د.ك.{RLM}"),
        (4900, "EUR", "ar", f"{RLM}49.00{NB}€"),
        (120000, "ISK", "is", f"1.200{NB}kr."),
        (120000, "ISK", "en", f"ISK{NB}1,200"),
        (500000, "UGX", "en", f"UGX{NB}5,000"),
        (4900, "HKD", "zh-HK", "HK$49.00"),
        (4900, "USD", "en-GB", "US$49.00"),
        (4900, "CHF", "de-CH", f"CHF{NB}49.00"),
        (0, "EUR", "en", "€0.00"),
        (-4900, "EUR", "en", "-€49.00"),
    ],
)
def test_money_has_the_decimals_of_its_currency_and_the_shape_of_the_locale(amount, currency, tag, text):
    assert formats(tag).money(amount, currency) == text


@pytest.mark.parametrize(("amount", "text"), [(199900, f"RSD{NB}1,999"), (199950, f"RSD{NB}1,999.50")])
def test_an_amount_is_never_rounded_where_cldr_writes_a_currency_without_decimals(amount, text):
    assert formats("en").money(amount, "RSD") == text


def test_an_unknown_currency_is_written_with_its_code():
    assert formats("en").money(1050, "XXZ") == f"XXZ{NB}10.50"


def test_an_amount_keeps_its_number_and_is_false_only_at_zero():
    paid, nothing = formats().money(4900, "eur"), formats().money(0, "eur")
    assert (paid.amount, paid.currency, bool(paid)) == (4900, "EUR", True)
    assert isinstance(nothing, Amount)
    assert not nothing


@pytest.mark.parametrize(
    ("tag", "day", "moment"),
    [
        ("en-GB", "22 November 2026", "22 November 2026, 00:30 CET"),
        ("pl", "22 listopada 2026", "22 listopada 2026 00:30 CET"),
        ("zh-HK", "2026年11月22日", "2026年11月22日 上午12:30 GMT+01:00"),
        ("ar", "22 نوفمبر 2026", "22 نوفمبر 2026، 12:30 ص غرينتش+01:00"),
    ],
)
def test_times_are_in_the_shops_zone_and_the_readers_locale(tag, day, moment):
    assert formats(tag).day(PAID) == day
    assert formats(tag).moment(PAID) == moment


def test_the_day_follows_the_shops_zone_across_midnight_and_summer_time():
    assert formats("en-GB", "UTC").day(PAID) == "21 November 2026"
    new_york = formats("en-GB", "America/New_York").moment("2026-07-01T03:00:00.000Z")
    assert new_york == "30 June 2026, 23:00 GMT-04:00"
    assert formats("en-GB").moment("2026-07-01T03:00:00.000Z") == "1 July 2026, 05:00 CEST"


def test_a_date_can_come_as_moment_text_or_datetime():
    by_instant = formats().moment(PAID)
    assert isinstance(by_instant, Moment)
    assert by_instant.at == datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
    for value in (by_instant, PAID, by_instant.at, by_instant.at.replace(tzinfo=None)):
        assert formats().day(value) == "22 November 2026"


def test_a_day_without_a_time_stays_that_day_in_every_zone():
    assert formats("en-GB", "America/New_York").day("2026-11-21") == "21 November 2026"
    assert formats("en-GB", "Asia/Tokyo").day(date(2026, 11, 21)) == "21 November 2026"


def test_a_text_that_is_no_time_is_an_error():
    with pytest.raises(ValueError, match="soon"):
        formats().day("soon")


@pytest.mark.parametrize(
    ("code", "tag", "name"),
    [
        ("PL", "pl", "Polska"),
        ("pl", "en", "Poland"),
        ("DE", "zh-HK", "德國"),
        ("QQ", "en", "QQ"),
        (None, "en", ""),
    ],
)
def test_countries_are_named_in_the_readers_language(code, tag, name):
    assert formats(tag).country(code) == name


def test_lists_read_naturally_and_name_nothing_twice():
    assert formats("en-GB").listing(["a", "b", "a", "c"]) == "a, b and c"
    assert formats("pl").listing(["a", "b"]) == "a i b"
    assert formats().listing(["a"]) == "a"
    assert formats().listing([]) == ""


@pytest.mark.parametrize(
    ("tag", "known"),
    [
        ("pl", "pl"),
        ("en-GB", "en-GB"),
        ("en_GB", "en-GB"),
        ("zh-HK", "zh-Hant-HK"),
        ("zh-TW", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("PT-br", "pt-BR"),
        ("en-XX", "en"),
        ("fil", "fil"),
        ("auto", None),
        ("", None),
        (None, None),
        ("klingon", None),
        ("../../etc/passwd", None),
        ("x" * 500, None),
    ],
)
def test_a_tag_gives_its_locale_or_that_of_its_language_or_none(tag, known):
    locale = locale_of(tag)
    assert (locale and tag_of(locale)) == known
