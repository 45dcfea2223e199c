"""Pushcart's sandbox: stands in for the outside world, for `make run` and for the tests."""

from local.sandbox.faults import Fault
from local.sandbox.records import Call, Mail
from local.sandbox.sandbox import Sandbox
from local.sandbox.stripe import Outcome, StripeError

__all__ = ["Call", "Fault", "Mail", "Outcome", "Sandbox", "StripeError"]
