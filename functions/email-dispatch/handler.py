"""email-dispatch: sends the mails. Carries out steps of kind `email`, through SendGrid or SMTP.

POST /         signed, a StepRequest · 200 the mail is handed over · 4xx it never can be · 429, 503 later
GET  /doctor   signed · what is wrong, seen from here
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pushcart import doctor, shapes
from pushcart.clock import clock_from_environment
from pushcart.config import Config, Reads
from pushcart.mail import dispatch, transports
from pushcart.stepcall import step_router
from pushcart.web import Router

READS = Reads(
    variables=(*transports.VARIABLES, "shop_file", "site_url"),
    needs=("internal-key",),
    may_need=(*transports.MAY_NEED, "shop"),
)

_router: Router


def start() -> None:
    """Reads configuration, shop.yml and templates; `ConfigurationError` names everything that is wrong."""
    global _router
    shapes.warm()
    config = Config(READS)
    dispatch.check(config)
    clock = clock_from_environment()
    mails = dispatch.open_dispatch(config, clock)
    _router = step_router(config, clock, {"email": mails.email})
    probes = {
        "configuration": doctor.Probe(partial(doctor.settings, partial(dispatch.check, config))),
        config["mail_transport"]: doctor.Probe(mails.check_transport, "look at its key and at mail_transport"),
    }
    doctor.add(_router, config, clock, lambda: probes)


def handle(event: Any, context: Any) -> dict[str, Any]:
    return _router.handle(event, context)
