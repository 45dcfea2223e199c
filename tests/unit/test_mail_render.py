"""How templates are found, run, split into subject and text, and how their mistakes are told."""

from __future__ import annotations

import pytest

from pushcart.domain.order import Buyer
from pushcart.errors import is_permanent
from pushcart.mail.render import WIDTH, TemplateError, wrap
from support import mail_samples as samples


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, text in {"x.html": "<p>hi</p>", "x.txt": "Subject: Hi\n\nhi\n", **files}.items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def render(folder, view=None, **changes):
    call = samples.request("receipt", view, config={"template": "x", "to": "buyer"}, **changes)
    return samples.render(call, folder)


def buyer(locale, **fields):
    return samples.order(buyer=Buyer(email="a@example.org", locale=locale, **fields))


def variants(*tags):
    return {f"x.{tag}.html": tag for tag in tags} | {f"x.{tag}.txt": f"Subject: {tag}\n\n{tag}" for tag in tags}


@pytest.mark.parametrize(
    ("locale", "written", "chosen"),
    [
        ("pl", ["pl"], "pl"),
        ("pt-BR", ["pt", "pt-BR"], "pt-BR"),
        ("pt-BR", ["pt"], "pt"),
        ("pt", ["pt-BR"], "Hi"),
        ("zh-HK", ["zh", "zh-Hant"], "zh-Hant"),
        ("zh-HK", ["zh", "zh-HK", "zh-Hant"], "zh-HK"),
        ("zh-HK", ["zh"], "zh"),
        ("de", ["pl"], "Hi"),
        ("auto", ["pl"], "Hi"),
        (None, ["pl", "en-GB"], "en-GB"),
    ],
)
def test_the_variant_nearest_to_the_buyers_language_is_taken(folder, locale, written, chosen):
    mail = render(folder(**variants(*written)), buyer(locale))
    assert mail.subject == chosen
    assert mail.html.strip() == ("<p>hi</p>" if chosen == "Hi" else chosen)


def test_half_a_variant_is_an_error_and_not_a_mail_in_two_languages(folder):
    with pytest.raises(TemplateError, match=r"mails/x\.pl\.html is missing"):
        render(folder(**{"x.pl.txt": "Subject: a\n\nb"}), buyer("pl"))


def test_lang_and_direction_are_those_of_the_words(folder):
    page = '<html lang="{{ lang }}" dir="{{ dir }}">'
    files = folder(**{"x.html": page, "x.ar.html": page, "x.ar.txt": "Subject: a\n\nb"})
    assert render(files, buyer("ar")).html == '<html lang="ar" dir="rtl">\n'
    assert render(files, buyer("pl")).html == '<html lang="en-GB" dir="ltr">\n'


def test_the_subject_is_the_texts_first_line_and_always_one_line(folder):
    name = "Ada\r\nBcc: everybody@example.org\n\n<b>"
    mail = render(folder(**{"x.txt": "{# ours #}\nSubject:  For {{ buyer.name }}\n\nHello"}), buyer("en", name=name))
    assert mail.subject == "For Ada Bcc: everybody@example.org <b>"
    assert mail.text == "Hello\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello", r"mails/x\.txt line 1: begin with `Subject: \.\.\.`"),
        ("Subject:\n\nHello", r"mails/x\.txt line 1: begin with"),
        ("Subject: Hi\nHello", r"mails/x\.txt line 2: leave an empty line"),
    ],
)
def test_a_text_without_subject_or_empty_line_is_an_error(folder, text, words):
    with pytest.raises(TemplateError, match=words):
        render(folder(**{"x.txt": text}))


def test_a_line_that_ends_with_a_tag_keeps_its_end_and_a_line_of_tags_leaves_none(folder):
    text = (
        "Subject: a{% if buyer.name %} b{% endif %}\n\n"
        "{% if true %}\none{% if true %} two{% endif %}\n{% endif %}\nthree{# . #}\nfour"
    )
    mail = render(folder(**{"x.txt": text}))
    assert (mail.subject, mail.text) == ("a b", "one two\nthree\nfour\n")


def test_html_is_escaped_and_text_is_not(folder):
    name = '<img src=x onerror="alert(1)"> & {{ 7 * 7 }}'
    mail = render(
        folder(**{"x.html": "{{ buyer.name }}", "x.txt": "Subject: a\n\n{{ buyer.name }}"}),
        buyer("en", name=name),
    )
    assert mail.html == "&lt;img src=x onerror=&#34;alert(1)&#34;&gt; &amp; {{ 7 * 7 }}\n"
    assert mail.text == name + "\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n{{ buyr.name }}", r"mails/x\.html line 2: there is nothing called 'buyr'"),
        (
            "{{ order.totl }}",
            r"mails/x\.html line 1: there is no 'totl' here; there is .*subtotal, tax, .*total",
        ),
        (
            "\n\n{{ refund.amount }}",
            r"mails/x\.html line 3: 'amount' is asked of something this mail does not have; wrap",
        ),
        ("{% if order.totl %}a{% endif %}", r"line 1: there is no 'totl'"),
        ("a\n{% if %}", r"mails/x\.html line 2: .*"),
        ("{{ order | moneyy }}", r"mails/x\.html line 1: No filter named 'moneyy'"),
        ("{% include 'y.html' %}", r"mails/y\.html is missing"),
        ("{{ ''.__class__.__mro__ }}", r"mails/x\.html line 1: .*unsafe"),
        ("{{ 1 / 0 }}", r"mails/x\.html line 1: an expression here fails with ZeroDivisionError"),
        ("{{ buyer.email | date }}", r"mails/x\.html line 1: an expression here fails with ValueError"),
        ("{% include 'p.html' %}", r"mails/p\.html line 2: there is nothing called 'oops'"),
    ],
)
def test_a_mistake_is_told_with_template_line_and_name(folder, source, words):
    with pytest.raises(TemplateError, match=words) as caught:
        render(folder(**{"x.html": source, "p.html": "a\n{{ oops }}"}))
    assert is_permanent(caught.value.http_status)
    assert "a@example.org" not in caught.value.message


def test_a_missing_template_is_an_error_with_its_name(tmp_path):
    with pytest.raises(TemplateError, match=r"mails/x\.html is missing"):
        render(tmp_path)


def test_a_template_that_loops_without_end_is_stopped(folder):
    with pytest.raises(TemplateError, match="OverflowError"):
        render(folder(**{"x.html": "{% for i in range(100000000) %}{% endfor %}"}))


def test_the_owners_filters_format_in_the_readers_locale(folder):
    html = (
        "{{ 4900 | money }}|{{ 4900 | money('JPY') }}|{{ order.total | money }}|{{ order.paid_at | date }}|"
        "{{ '2026-12-24' | date }}|{{ results.invite.expires_at | datetime }}|{{ 'DE' | country }}|"
        "{{ buyer.phone }}"
    )
    results = {"invite": {"expires_at": "2026-12-21T08:45:36.000Z"}}
    mail = render(folder(**{**variants("pl"), "x.pl.html": html}), buyer("pl"), results=results)
    assert mail.html.strip() == (
        "49,00\xa0€|4\xa0900\xa0JPY|49,00\xa0€|21 listopada 2026|24 grudnia 2026|21 grudnia 2026 09:45 CET|Niemcy|"
    )


def test_a_changed_template_takes_effect_at_once(folder):
    import os

    files = folder()
    render(files)
    (files / "x.html").write_text("new")
    os.utime(files / "x.html", (1, 1))
    assert render(files).html == "new\n"


def test_paragraphs_are_wrapped_and_addresses_commands_and_lists_are_not_broken():
    link = "https://forum.example/" + "x" * 100
    lines = wrap(
        f"{'word ' * 40}\n{link}\n    pushcart orders show {'y' * 80}\n- {'item ' * 30}\n\n\n\nend"
    ).splitlines()
    assert all(len(line) <= WIDTH for line in lines if "x" * 100 not in line and "y" * 80 not in line)
    assert link in lines
    assert f"    pushcart orders show {'y' * 80}" in lines
    item = next(number for number, line in enumerate(lines) if line.startswith("- item"))
    assert lines[item + 1].startswith("  item")
    assert lines[-3:] == [lines[-3], "", "end"]


def test_a_price_is_not_torn_from_its_currency():
    assert "49,00\xa0€" in wrap("x" * 70 + " 49,00\xa0€").splitlines()


def test_problems_lists_every_mistake_of_a_folder_at_once(folder):
    files = folder(
        **{
            "y.html": "{% if %}",
            "z.txt": "Subject: {{ a | nope }}\n\nb",
            "_layout.html": "{% endblock %}",
            "README.md": "{{ no template }}",
        }
    )
    problems = samples.Renderer(files).problems("something-needs-you")
    assert [problem.split(":")[0].split(" is ")[0] for problem in problems] == [
        "mails/_layout.html line 1",
        "mails/y.html line 1",
        "mails/z.txt line 1",
        "mails/something-needs-you.html",
        "mails/something-needs-you.txt",
        "mails/y.txt",
        "mails/z.html",
    ]
