"""Carries out the step kind `email`: who gets which mail, in which language, through which transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from babel import Locale

from pushcart import shopfile
from pushcart.clock import Clock
from pushcart.config import Config
from pushcart.domain import attention
from pushcart.domain.catalogue import Catalogue, EmailStep
from pushcart.domain.order import Buyer
from pushcart.errors import BadRequest, ConfigurationError, problems_of
from pushcart.mail import context
from pushcart.mail.formats import Formats, locale_of
from pushcart.mail.message import Message, Transport, is_address
from pushcart.mail.render import Renderer
from pushcart.mail.transports import needed_secrets, needed_variables, open_transport
from pushcart.providers.request import email_of, settings_of
from pushcart.stepcall import StepAnswer, StepRequest


class Dispatch:
    """Sends the mails of one shop. Raises BadRequest, TemplateError and the transport's errors."""

    def __init__(self, catalogue: Callable[[], Catalogue], renderer: Renderer, transport: Transport) -> None:
        self._catalogue = catalogue
        self._renderer = renderer
        self._transport = transport

    def email(self, request: StepRequest) -> StepAnswer:
        """Sends one mail. The result holds no address: `to`, `count`, `via`, `message_id`."""
        settings = settings_of(request, EmailStep)
        if bool(settings.template) == bool(settings.sendgrid_template):
            raise BadRequest("A mail needs either template or sendgrid_template.")
        catalogue = self._catalogue()
        to = _recipients(settings, request, catalogue)
        message = self._message(settings, request, catalogue, to)
        sent = self._transport.send(message)
        who = "the buyer" if settings.to == "buyer" else "the admins"
        note = f"{message.name} sent to {who}"
        if sent.refused:
            note += f"; {sent.refused} of {len(to)} addresses refused"
        return StepAnswer(
            result={
                "to": settings.to,
                "count": len(to) - sent.refused,
                "via": self._transport.name,
                "message_id": sent.message_id,
            },
            note=note,
        )

    def check_transport(self) -> str:
        """A sentence when the shop's mails could be sent now; raises the transport's errors. Sends none."""
        return self._transport.check(self._catalogue().shop.sender)

    def _message(self, settings: EmailStep, request: StepRequest, catalogue: Catalogue, to: list[str]) -> Message:
        shop = catalogue.shop
        shop_locale = locale_of(shop.locale) or Locale("en")
        buyer = request.order.buyer if request.order and settings.to == "buyer" else Buyer()
        country = buyer.address.country if buyer.address else None
        formats = Formats(locale_of(buyer.locale, country) or shop_locale, shop.timezone)
        variant = settings.template and self._renderer.written_in(settings.template, formats.locale)
        values = context.build(request, catalogue, formats, variant or shop_locale)
        message = Message(
            name=settings.template or f"SendGrid template {settings.sendgrid_template}",
            sender=shop.sender,
            sender_name=values["shop"]["name"],
            to=to,
            reply_to=shop.support if settings.to == "buyer" else None,
            key=request.key,
            step=request.step,
            order_id=request.order.id if request.order else None,
        )
        if settings.template:
            mail = self._renderer.render(settings.template, values, formats)
            return replace(message, subject=mail.subject, html=mail.html, text=mail.text)
        if not self._transport.takes_templates:
            raise BadRequest("A sendgrid_template needs mail_transport=sendgrid; this shop sends through SMTP.")
        return replace(message, template_id=settings.sendgrid_template, template_data=values)


def check(config: Config) -> None:
    """Everything without which mails cannot be sent, all problems at once; `ConfigurationError`."""
    problems = problems_of(*(partial(one, config) for one in (_check_surroundings, _check_shop, _check_templates)))
    if problems:
        raise ConfigurationError(problems)


def open_dispatch(config: Config, clock: Clock) -> Dispatch:
    """The dispatch that `config` describes, with the templates beside shop.yml."""
    return Dispatch(shopfile.Reloading(config), _renderer(config), open_transport(config, clock))


def _renderer(config: Config) -> Renderer:
    return Renderer(shopfile.shop_folder(config) / shopfile.MAILS)


def _check_surroundings(config: Config) -> None:
    config.check(also_needs=needed_secrets(config), also_variables=needed_variables(config))


def _check_shop(config: Config) -> None:
    problems = shop_problems(shopfile.load(config), config["mail_transport"])
    if problems:
        raise ConfigurationError(problems)


def shop_problems(catalogue: Catalogue, transport: str) -> list[str]:
    """What in shop.yml keeps mails from being sent; `transport` is one that `mail_transport` may name."""
    problems = []
    if locale_of(catalogue.shop.locale) is None:
        problems.append(f"shop.locale: {catalogue.shop.locale!r} is not known; write it like en-GB")
    if transport == "smtp":
        problems += [
            f"{place}: a sendgrid_template needs mail_transport=sendgrid; write template: instead"
            for place, step in catalogue.steps()
            if isinstance(step, EmailStep) and step.sendgrid_template
        ]
    return problems


def _check_templates(config: Config) -> None:
    # No step in shop.yml names the alarm, so that it has to be asked for here.
    problems = _renderer(config).problems(attention.TEMPLATE)
    if problems:
        raise ConfigurationError(problems)


def _recipients(settings: EmailStep, request: StepRequest, catalogue: Catalogue) -> list[str]:
    if settings.to == "admins":
        # SendGrid refuses a mail that names an address twice.
        return list({address.lower(): address for address in catalogue.shop.admins}.values())
    email = email_of(request).strip()
    if not is_address(email):
        raise BadRequest("What the buyer gave as mail address is none; help this buyer by hand.")
    return [email]
