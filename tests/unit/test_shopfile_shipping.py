"""What shop.yml says about goods that are printed or packed is checked as a whole too."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from pushcart import shopcheck_shipping, shopfile
from pushcart.errors import CatalogueError
from support.goods import GOODS

SHIRT = "{step: print, shipping: STANDARD, variants: {M / Blue: 11, M / Sea: 12, L / Blue: 13, L / Sea: 14}}"
POSTER = "{step: print, id: poster-print, variant: 21, needs: [purchase], delay: 2 hours}"


def mistakes(text: str, mails: Path | None = None) -> list[str]:
    """Without the file's name and the line."""
    with pytest.raises(CatalogueError) as error:
        shopfile.parse(text, mails=mails)
    return [problem.partition(": ")[2] for problem in error.value.problems]


def changed(*changes: tuple[str, str]) -> str:
    text = GOODS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_a_shop_that_prints_and_packs_has_no_mistakes():
    shirt = shopfile.parse(GOODS).product("shirt")
    assert shirt.fulfilment[0].variant_of("L / Sea") == 14
    assert shirt.fulfilment[0].variant_of("XL / Sea") is None


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (SHIRT, "{step: print}", "products[2].fulfilment[0]: the product has options: write variants: with a number"),
        (SHIRT, "{step: print, variant: 11}", "for each of M / Blue, M / Sea, L / Blue, L / Sea"),
        ("L / Sea: 14", "XL / Sea: 14", "products[2].fulfilment[0].variants.XL / Sea: there is no such choice"),
        (", L / Sea: 14", "", "products[2].fulfilment[0].variants: has no number for L / Sea"),
        ("L / Sea: 14", "L / Sea: twelve", "products[2].fulfilment[0].variants[...]: expected `int`, got `str`"),
        ("L / Sea: 14", "L / Sea: 0", "products[2].fulfilment[0].variants[...]"),
        (POSTER, "{step: print}", "products[3].fulfilment[1]: a print needs variant:, the number of Printful's sync"),
        (POSTER, "{step: print, variants: {M: 1}}", "products[3].fulfilment[1]: a print needs variant:"),
        (POSTER, "{step: print, variant: '21'}", "products[3].fulfilment[1].variant: expected `int"),
        (POSTER, "{step: print, variant: 21, size: M}", "products[3].fulfilment[1].size: is not known here"),
        ("needs: [print]", "needs: [prints]", "products[2].fulfilment[1].needs: no earlier step here is called prints"),
        ("delay: 2 hours", "delay: soon", "products[3].fulfilment[1].delay: 'soon' is not a delay"),
        (
            "price: 34.00\n    ships: true",
            "price: 34.00",
            "products[4].ships: what is printed or packed goes to an address: write ships: true",
        ),
        (
            "{step: pack}",
            "{step: pack}\n      - {step: print, variant: 3}",
            "products[4].fulfilment[1]: one step that sends the product is enough",
        ),
        ("{step: pack}", "{step: pack, carrier: DHL}", "products[4].fulfilment[0].carrier: is not known here"),
        (
            "template: your-parcel}",
            "template: your-parcel}\n    - {step: pack}",
            "every_order.on_parcel[1]: a pack belongs under the fulfilment: of a product",
        ),
        (
            "{step: email, template: receipt}",
            "{step: print, variant: 1}",
            "every_order.fulfilment[0]: a print belongs under the fulfilment: of a product",
        ),
        (
            "on_refund: {cancel: false}\n  - sku: apron",
            "on_refund:\n      steps: [{step: pack}]\n  - sku: apron",
            "products[3].on_refund.steps[0]: a pack belongs under the fulfilment: of a product",
        ),
        (
            "  on_parcel:\n    - {step: email, template: your-parcel}\n",
            "",
            "every_order.on_parcel: say which mail a buyer gets for each parcel, such as template: your-parcel",
        ),
    ],
)
def test_a_mistake_says_where_it_is_and_what_to_do(old, new, complaint):
    found = mistakes(changed((old, new)))
    assert any(complaint in problem for problem in found), found


def test_each_mistake_is_told_once_with_its_own_line():
    text = changed((", L / Sea: 14", ""), ("variant: 21, ", ""), ("{step: pack}", "{step: pack, carrier: DHL}"))
    with pytest.raises(CatalogueError) as error:
        shopfile.parse(text)
    lines = text.splitlines()
    told = [int(problem.split()[2].rstrip(":")) for problem in error.value.problems]
    assert sorted(lines[line - 1].strip()[:21] for line in told) == [
        "- {step: pack, carrie",
        "- {step: print, id: p",
        "- {step: print, shipp",
    ]


def test_a_shop_without_goods_needs_no_mail_about_parcels():
    start = GOODS.index("  - sku: shirt")
    text = (GOODS[:start] + GOODS[GOODS.index("checkout:") :]).replace(
        "  on_parcel:\n    - {step: email, template: your-parcel}\n", ""
    )
    assert shopfile.parse(text).every_order.on_parcel == []


def test_the_parcels_mail_has_to_be_there(tmp_path):
    for name in ("receipt", "refund", "access", "later", "sorry", "care", "please-pack", "thanks"):
        for kind in ("html", "txt"):
            (tmp_path / f"{name}.{kind}").touch()
    assert any("every_order.on_parcel[0].template: there is no your-parcel" in one for one in mistakes(GOODS, tmp_path))


def test_a_product_with_more_choices_than_anybody_sells_is_checked_at_once():
    """Each option multiplies the choices; their list must not fill the memory."""
    names = ", ".join(f"v{number}" for number in range(40))
    options = "".join(f"\n      - {{name: O{number}, values: [{names}]}}" for number in range(10))
    text = changed(("\n      - {name: Size, values: [M, L]}\n      - {name: Colour, values: [Blue, Sea]}", options))
    assert any("products[2].fulfilment[0]: the product has" in one for one in mistakes(text))


def test_of_many_choices_without_a_number_a_few_are_named():
    values = ", ".join(f"v{number}" for number in range(30))
    [found] = mistakes(changed(("values: [Blue, Sea]", f"values: [Blue, Sea, {values}]")))
    assert found.endswith(
        "has no number for M / v0, M / v1, M / v2, M / v3, M / v4, M / v5, M / v6, M / v7 and 52 more"
    )


def places(value, path=()):
    """The path of everything in a document, to be replaced by something else."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


ODD = [None, True, -1, "sNaN", "x" * 400, [], {}, [[]], [{}], [None], {"S": []}, {1: 2}]


def test_whatever_stands_in_one_place_the_rest_is_still_checked():
    loaded = yaml.safe_load(changed(("{step: pack}", "{step: pack, needs: []}\n      - {step: print, variant: 3}")))
    spots = [path for path in places(loaded) if path and path[0] in ("products", "every_order")]
    assert len(spots) > 100
    for path in spots:
        for odd in ODD:
            broken = copy.deepcopy(loaded)
            target = broken
            for key in path[:-1]:
                target = target[key]
            target[path[-1]] = odd
            found = shopcheck_shipping.mistakes(broken)
            assert all(isinstance(place, str) and what for place, what in found)
            if path[:2] != ("products", 4) and path != ("products",):
                assert "products[4].fulfilment[1]" in dict(found), (path, odd)
