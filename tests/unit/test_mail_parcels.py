"""The mails about what is packed and sent: what they tell the buyer and the owner, and what they leave out."""

from __future__ import annotations

import msgspec

from pushcart.domain.catalogue import PackStep
from pushcart.domain.parcels import ParcelItem
from support import mail_samples as samples
from support.mail_samples import HOSTILE, Page


def parcel_mail(*, order=samples.rich_order, **changes):
    view = order()
    return samples.render(samples.request("your-parcel", view, parcel=samples.parcel(*view.lines[1:2], **changes)))


def test_your_parcel_says_what_is_in_it_how_it_comes_and_where_to_follow_it():
    rendered = parcel_mail(service="Classic")
    page = Page(rendered.html)
    link = "https://tracking.dpd.example/parcel/13490015284111"
    assert page.links.count(link) == 2
    for line in (link, "- 1 x Glaze Chemistry", "Sent with: DPD, Classic", "Parcel number: 13490015284111"):
        assert line in rendered.text.splitlines()
    assert "1 × Glaze Chemistry" in page.text
    for text in (rendered.text, page.text):
        assert "as printed" not in text  # called as it was bought, not as its printer calls it
        assert "apron" not in text
        assert "rest of your order" not in text
        assert "Zofia Kowalska, ul. Długa 12/3, 31-146 Kraków, Polska" in " ".join(text.split())


def test_your_parcel_says_whether_more_follows_and_whether_it_replaces_a_lost_one():
    part, again = parcel_mail(more=True), parcel_mail(reshipment=True)
    for text in (part.text, Page(part.html).text):
        assert "with part of your order" in text
        assert "The rest of your order comes separately." in " ".join(text.split())
    for text in (again.text, Page(again.html).text):
        assert "It replaces the one that did not reach you" in " ".join(text.split())


def test_your_parcel_of_which_nothing_is_known_but_that_it_left_has_no_empty_rows():
    rendered = parcel_mail(
        order=samples.order, carrier="", tracking_number=None, tracking_url=None, items=[], service=None
    )
    for text in (rendered.text, Page(rendered.html).text):
        assert "Your parcel left on 23 November 2026." in text
        for word in ("In this parcel", "Sent with", "Parcel number", "Follow", "Goes to", "If the button"):
            assert word not in text


def test_your_parcel_has_no_link_that_is_none_and_nothing_its_printer_wrote_is_obeyed():
    items = [ParcelItem(name=HOSTILE, quantity=1)]
    rendered = parcel_mail(
        carrier=HOSTILE, service=HOSTILE, tracking_number=HOSTILE, tracking_url="javascript:x", items=items
    )
    page = Page(rendered.html)
    assert "javascript:" not in rendered.html + rendered.text
    assert "Follow your parcel" not in page.text
    assert not [tag for tag, _ in page.tags if tag in ("script", "img", "b")]
    assert "\u202e" not in rendered.html + rendered.text + rendered.subject


def test_please_pack_names_the_command_for_what_is_sent_only_where_the_shop_packs():
    shop = msgspec.convert(msgspec.to_builtins(samples.catalogue()), type(samples.catalogue()), strict=False)
    apron = shop.product("studio-apron")
    order = samples.order([samples.line("Studio Apron (M)", 3400, sku="studio-apron")])
    command = f"pushcart orders ship {samples.ORDER_ID} --carrier NAME --tracking NUMBER"
    for steps, there in (([PackStep()], True), ([], False)):
        apron.fulfilment = [*steps, *[one for one in apron.fulfilment if not isinstance(one, PackStep)]]
        rendered = samples.render(samples.request("please-pack", order), shop=shop)
        assert (f"    {command}" in rendered.text.splitlines()) == there
        assert (command in Page(rendered.html).text) == there
