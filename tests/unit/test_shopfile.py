"""shop.yml is checked as a whole: every mistake at once, each with its line."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait
from decimal import Decimal
from pathlib import Path

import pytest

from pushcart import shopfile
from pushcart.config import Config, Reads
from pushcart.errors import CatalogueError
from support.shop import SHOP

SHIPPED = Path(__file__).parents[2] / "deploy" / "shop"


def mistakes(text: str, mails: Path | None = None) -> list[str]:
    with pytest.raises(CatalogueError) as error:
        shopfile.parse(text, mails=mails)
    return error.value.problems


def test_the_shop_that_is_shipped_has_no_mistakes():
    catalogue = shopfile.parse((SHIPPED / "shop.yml").read_text(), mails=SHIPPED / "mails")
    skus = ["wheel-basics", "glaze-chemistry", "studio-plans", "studio-apron", "clay-kit", "studio-shirt"]
    assert [product.sku for product in catalogue.products] == skus
    assert catalogue.price_of(catalogue.products[0]) == 4900


def test_every_mistake_is_listed_with_its_line():
    text = """shop:
  name: X
  url: shop.example
  currency: eur
products:
  - sku: "a b"
    name: A
    price: 1.999
    fulfilment:
      - step: invte
      - step: email
        template: receipt
        to: Buyer
        delya: 3 days
colour: red
"""
    found = mistakes(text)
    assert [problem.split(":")[0] for problem in found] == [
        f"shop.yml line {line}" for line in (1, 1, 1, 3, 4, 6, 8, 10, 13, 14, 15)
    ]
    assert "shop.yml line 4: shop.currency: should be an ISO code such as EUR, not 'eur'" in found
    assert any("delya: is not known here; known are delay," in problem for problem in found)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("price: 49.00", "price: 49.001", "too many decimals for EUR"),
        ("price: 49.00", "price: -1", "not an amount"),
        ("price: 49.00", "price: 49.005\n    currency: KWD", "49.005 cannot be paid in KWD: amounts go by 0.010 KWD"),
        ("price: 49.00", "price: 49.50\n    currency: ISK", "49.50 cannot be paid in ISK: amounts go by 1.00 ISK"),
        ("needs: [invite]}", "needs: [invitation]}", "no earlier step here is called invitation"),
        ("delay: 3 days", "delay: soon", "'soon' is not a delay; write it like 3 days"),
        ("{step: invite, platform: discourse}", "{step: invite, platform: thinkific}", "has no thinkific:"),
        ("price_book", "price_course", "is used by another product too"),
        ("sku: book", "sku: course", "is used by another product too"),
        ("mailing_list:\n  kit: {}\n", "", "a purchase needs the section mailing_list:"),
        ("{step: email, template: access,", "{step: email,", "needs either template: or sendgrid_template:"),
        ("template: later, ", "template: access, ", "another step here is called access; give this one an id:"),
        ("currency: EUR", "currency: EUR\n  timezone: Mars/Base", "'Mars/Base' is no time zone"),
        ("  name: Test Shop", "  name: Test Shop\n  name: Twice", "is written twice"),
        (
            "step: invite,",
            "step: invit,",
            "there is no such step; known are email, invite, pack, print, purchase, sequence",
        ),
        (
            "{step: purchase}",
            "{step: sequence, sequence: 5, needs: [invite], fields: {a: invite.lnk}}",
            "there is no invite.lnk; known here are invite.expires_at, invite.link",
        ),
        (
            "{step: purchase}",
            "{step: sequence, sequence: 5, fields: {a: invite.link}}",
            "there is no invite.link; name the step it comes from under needs:",
        ),
        ("step: purchase}", "step: purchase, needs: 5}", "expected"),
    ],
)
def test_a_mistake_says_what_to_do(old, new, complaint):
    assert old in SHOP
    assert any(complaint in problem for problem in mistakes(SHOP.replace(old, new, 1)))


def test_one_broken_step_does_not_hide_the_mistakes_in_the_others(tmp_path):
    text = SHOP.replace("{step: purchase}", "{step: purchas}", 1).replace("delay: 3 days", "delay: soon")
    found = mistakes(text.replace("price: 20.00", "price: 20.001"), tmp_path)
    for complaint in ("no such step", "'soon' is not a delay", "too many decimals", "there is no receipt.html"):
        assert any(complaint in problem for problem in found), complaint


@pytest.mark.parametrize("text", ["", "[]", "just text", "- a\n- b"])
def test_a_file_that_is_no_shop_is_refused_with_the_next_step(text):
    assert mistakes(text) == ["shop.yml line 1: the file: write the sections shop: and products:"]


@pytest.mark.parametrize("price", [".nan", ".inf", "010", "1:30", "1:30.5", "1.0e+99999999", "0x10", "9" * 40])
def test_a_price_that_yaml_would_read_in_an_odd_way_is_refused(price):
    found = mistakes(SHOP.replace("price: 49.00", f"price: {price}"))
    assert len(found) == 1
    assert "price" in found[0] or "plain number" in found[0]


@pytest.mark.parametrize("text", ["[" * 5000, "a: &a [*a]"])
def test_a_file_made_to_break_the_reader_is_refused(text):
    assert mistakes(text)


def test_broken_yaml_names_its_line():
    assert mistakes("shop:\n  name: [unclosed\nproducts: x")[0].startswith("shop.yml line 3: not YAML")


def test_a_mail_without_its_template_is_a_mistake(tmp_path):
    found = mistakes(SHOP, tmp_path)
    assert any("there is no receipt.html in" in problem for problem in found)


def test_prices_are_exact_decimals():
    catalogue = shopfile.parse(SHOP.replace("49.00", "49.90"))
    assert catalogue.products[0].price == Decimal("49.90")
    assert catalogue.price_of(catalogue.products[0]) == 4990


def test_a_price_of_another_currency_has_its_own_decimals():
    catalogue = shopfile.parse(SHOP.replace("price: 49.00", "price: 800\n    currency: JPY"))
    assert catalogue.price_of(catalogue.products[0]) == 800


class Hasty(shopfile.Reloading):
    """Without the guard: what the reader has yet to read counts as read."""

    def _read_again(self):
        self._state = self._stamp()
        self._catalogue = shopfile.load(self._config)


class TestWhereTheShopComesFrom:
    @pytest.fixture
    def config(self, tmp_path):
        (tmp_path / "secrets").mkdir()
        file = tmp_path / "shop.yml"
        file.write_text(SHOP)
        (tmp_path / "mails").mkdir()
        for name in ("receipt", "refund", "access", "later", "sorry"):
            for kind in ("html", "txt"):
                (tmp_path / "mails" / f"{name}.{kind}").touch()
        environ = {"secret_mount_path": str(tmp_path / "secrets"), "shop_file": str(file), "function_name": "x"}
        return Config(Reads(variables=("shop_file",), may_need=("shop",)), environ)

    def test_the_secret_replaces_the_file_without_a_rebuild(self, config, tmp_path):
        current = shopfile.Reloading(config)
        assert current().shop.name == "Test Shop"
        (tmp_path / "secrets" / "shop").write_text(SHOP.replace("Test Shop", "New Name"))
        assert current().shop.name == "New Name"

    def test_a_change_with_mistakes_keeps_the_shop_as_it_was(self, config, tmp_path, caplog):
        current = shopfile.Reloading(config)
        (tmp_path / "shop.yml").write_text("shop: nothing")
        assert current().shop.name == "Test Shop"
        assert "the changed shop.yml is not used" in caplog.text

    @pytest.mark.parametrize(("reloading", "second"), [(shopfile.Reloading, "New Name"), (Hasty, "Test Shop")])
    def test_nobody_is_given_the_old_shop_while_the_changed_one_is_read(self, config, tmp_path, reloading, second):
        """A pipe in the file's place holds the reader. The control notes the file as read before it is."""
        current = reloading(config)
        file, changed = tmp_path / "shop.yml", SHOP.replace("Test Shop", "New Name")
        file.unlink()
        os.mkfifo(file)
        with ThreadPoolExecutor(2) as pool:
            reader = pool.submit(current)
            with file.open("w") as pipe:
                other = pool.submit(current)
                wait([other], timeout=0.2)
                (tmp_path / "beside").write_text(changed)
                (tmp_path / "beside").rename(file)
                pipe.write(changed)
            assert other.result(5).shop.name == second
            assert reader.result(5).shop.name == "New Name"

    def test_a_missing_file_says_so(self, config, tmp_path):
        (tmp_path / "shop.yml").unlink()
        with pytest.raises(CatalogueError, match=r"shop\.yml cannot be read"):
            shopfile.load(config)
