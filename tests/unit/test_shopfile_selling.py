"""What shop.yml says about options, stock, the checkout and its discounts is checked as a whole too."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import yaml

from pushcart import shopcheck_selling, shopfile
from pushcart.errors import CatalogueError
from support.shop import SHOP

SELLING = f"""{SHOP}
  - sku: mug
    name: Mug
    price: 18.00
    options:
      - {{name: Size, values: [S, M]}}
      - {{name: Glaze, values: [Blue, Sea]}}
    stock: {{S / Blue: 3, M / Blue: 0}}
    ships: true
  - sku: bowl
    name: Bowl
    price: 30.00
    options:
      - {{name: Glaze, values: [Blue, Sea / Sky]}}
    stock: {{Sea / Sky: 4}}
site:
  checkout: https://gateway.example/function/checkout
  origins: [https://you.carrd.example]
checkout:
  pay_with: [autopay, stripe]
  shipping:
    countries: [PL, DE]
    rates:
      - {{name: Locker, price: 3.50}}
      - {{name: Courier, price: 6}}
  discounts:
    - {{code: SPRING10, percent: 10, until: 2026-12-31}}
    - {{code: FIVE, amount: 5.00, skus: [mug, book]}}
  reminder: your-cart
"""


def mistakes(text: str = SELLING, mails: Path | None = None) -> list[str]:
    """Without the file's name and the line."""
    with pytest.raises(CatalogueError) as error:
        shopfile.parse(text, mails=mails)
    return [problem.partition(": ")[2] for problem in error.value.problems]


def changed(*changes: tuple[str, str]) -> str:
    text = SELLING
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_a_shop_that_uses_all_of_it_has_no_mistakes():
    catalogue = shopfile.parse(SELLING)
    mug = catalogue.product("mug")
    assert catalogue.stock_of(mug, {"Size": "S", "Glaze": "Blue"}) == 3
    assert catalogue.stock_of(mug, {"Size": "S", "Glaze": "Sea"}) is None
    assert catalogue.checkout.discounts[0].until == "2026-12-31"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("name: Glaze", "name: Size", "products[2].options[1].name: another option here is called Size"),
        ("[S, M]", "[S, M, S]", "products[2].options[0].values[2]: S can be chosen here already"),
        ("[S, M]", "[S, M / L]", "products[2].options[0].values[1]: M / L looks like a choice of two options"),
        ("[S, M]", "[S, M, no]", "products[2].options[0].values[2]: no, yes, on and off are no words in YAML"),
        ("S / Blue: 3", "Blue / S: 3", "products[2].stock.Blue / S: there is no choice Blue / S; write the values"),
        ("S / Blue: 3", "S: 3", "in order, like S / Blue"),
        ("S / Blue: 3", "S / Blue / : 3", "there is no choice"),
        ("{Sea / Sky: 4}", "{Sea: 4}", "products[3].stock.Sea: there is no choice Sea"),
        ("stripe: {price: price_book}", "stock: {S: 1}", "products[1].stock: counts by choice, but there are no"),
        (", percent: 10", "", "checkout.discounts[0]: a discount needs either percent: or amount:"),
        ("percent: 10", "percent: 10, amount: 1", "checkout.discounts[0]: a discount needs either percent: or amount:"),
        ("FIVE", "spring10", "checkout.discounts[1].code: there is a code spring10 already"),
        ("[mug, book]", "[mug, boook]", "checkout.discounts[1].skus[1]: there is no product boook"),
        ("2026-12-31", "2026-02-30", "checkout.discounts[0].until: there is no day 2026-02-30"),
        ("amount: 5.00", "amount: 5.001", "checkout.discounts[1].amount: 5.001 has too many decimals for EUR"),
        ("amount: 5.00", "amount: -5", "checkout.discounts[1].amount: '-5' is not an amount"),
        ("amount: 5.00", "amount: 0.00", "checkout.discounts[1].amount: takes nothing off"),
        ("price: 3.50", "price: 3.505", "checkout.shipping.rates[0].price: 3.505 has too many decimals for EUR"),
        ("name: Courier", "name: Locker", "checkout.shipping.rates[1].name: another rate is called Locker"),
        ("[PL, DE]", "[PL, DE, PL]", "checkout.shipping.countries[2]: PL is in the list already"),
        (
            "[PL, DE]",
            "[PL, NO]",
            "checkout.shipping.countries[1]: no, yes, on and off are no words in YAML; put quotes",
        ),
        ("[autopay, stripe]", "[stripe, paypall]", "checkout.pay_with[1]: there is no provider paypall; known are str"),
        ("[autopay, stripe]", "[stripe, stripe]", "checkout.pay_with[1]: stripe is in the list already"),
        ("reminder: your-cart", "reminder: ../x", "checkout.reminder: should be lower case letters, digits and -"),
        ("sku: bowl", "sku: Mug", "products[3].sku: Mug differs from mug only in its capitals"),
        ("carrd.example", "carrd.example/", "site.origins[0]: should be an origin such as https://you.carrd.co"),
        ("carrd.example", "carrd.example/shop", "site.origins[0]: should be an origin such as https://you.carrd.co"),
    ],
)
def test_a_mistake_says_where_it_is_and_what_to_do(old, new, complaint):
    assert any(complaint in problem for problem in mistakes(changed((old, new))))


def test_each_mistake_is_told_once_with_its_own_line():
    text = changed(("S / Blue: 3", "XL / Blue: 3"), ("FIVE", "SPRING10"), ("price: 6", "price: 6.001"))
    with pytest.raises(CatalogueError) as error:
        shopfile.parse(text)
    lines = text.splitlines()
    told = [int(problem.split()[2].rstrip(":")) for problem in error.value.problems]
    assert [lines[line - 1].strip()[:9] for line in told] == ["stock: {X", "- {name: ", "- {code: "]


def test_one_number_for_all_choices_is_as_good_as_one_for_each():
    text = changed(("{S / Blue: 3, M / Blue: 0}", "7"))
    catalogue = shopfile.parse(text)
    assert catalogue.stock_of(catalogue.product("mug"), {"Size": "M", "Glaze": "Sea"}) == 7


def test_what_ships_needs_somewhere_to_send_it_only_where_the_checkout_is_used():
    start, end = SELLING.index("  shipping:"), SELLING.index("  discounts:")
    text = SELLING[:start] + SELLING[end:]
    assert mistakes(text) == ["products[2].ships: what ships needs the section shipping: under checkout:"]
    shopfile.parse(text.replace("  checkout: https://gateway.example/function/checkout\n", ""))
    shopfile.parse(text.replace("ships: true", "ships: false"))


def test_amounts_fit_the_currency_of_the_shop():
    text = changed(("  currency: EUR", "  currency: JPY"), ("[autopay, stripe]", "[stripe]"))
    assert mistakes(text) == ["checkout.shipping.rates[0].price: 3.50 has too many decimals for JPY (0 allowed)"]


def test_a_provider_takes_only_its_currencies():
    text = changed(("  currency: EUR", "  currency: CHF"), ("price: 18.00", "price: 18.00\n    currency: SEK"))
    wrong = "autopay, which is under checkout.pay_with, takes no {}, only EUR, GBP, PLN, USD"
    assert mistakes(text) == [
        f"shop.currency: {wrong.format('CHF')}",
        f"products[2].currency: {wrong.format('SEK')}",
        "products[2].currency: what ships is sold in the shop's own currency, CHF, as its shipping is",
    ]
    assert shopfile.parse(text.replace("[autopay, stripe]", "[stripe]").replace("ships: true", "ships: false"))


def test_only_a_provider_that_is_named_is_imported_and_none_of_its_packages(monkeypatch):
    """Every function reads shop.yml, and few ever speak to the provider."""
    monkeypatch.setitem(sys.modules, "defusedxml.ElementTree", None)
    monkeypatch.delitem(sys.modules, "pushcart.providers.paylinks.autopay", raising=False)
    assert shopfile.parse(changed(("[autopay, stripe]", "[stripe]")))
    assert "pushcart.providers.paylinks.autopay" not in sys.modules
    assert shopfile.parse(SELLING)
    assert "pushcart.providers.paylinks.autopay" in sys.modules


def test_a_reminder_without_its_mail_is_a_mistake(tmp_path):
    for name in ("receipt", "refund", "access", "later", "sorry"):
        for kind in ("html", "txt"):
            (tmp_path / f"{name}.{kind}").touch()
    (tmp_path / "your-cart.txt").touch()
    assert mistakes(SELLING, tmp_path) == [f"checkout.reminder: there is no your-cart.html in {tmp_path.name}/"]


def places(value, path=()):
    """The path of everything in a document, to be replaced by something else."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


ODD = [None, True, -1, "sNaN", "x" * 400, [], {}, [[]], [{}], [None], {"S": []}, {1: 2}]


def test_whatever_stands_in_one_place_the_rest_is_still_checked():
    """`sNaN` is a number that may not even be compared; a path may be too long to be looked for."""
    loaded = yaml.safe_load(changed(("code: FIVE", "code: SPRING10"), ("[autopay, stripe]", "[stripe]")))
    spots = [path for path in places(loaded) if path and path[0] in ("products", "checkout", "site", "shop")]
    assert len(spots) > 100
    for path in spots:
        for odd in ODD:
            broken = copy.deepcopy(loaded)
            target = broken
            for key in path[:-1]:
                target = target[key]
            target[path[-1]] = odd
            found = shopcheck_selling.mistakes(broken, Path("/nowhere"))
            assert all(isinstance(place, str) and what for place, what in found)
            if path[:2] != ("checkout", "discounts") and path != ("checkout",):
                assert "checkout.discounts[1].code" in dict(found), (path, odd)
