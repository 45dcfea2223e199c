"""What can go wrong in the local gateway; every message says what is wrong, where, and what to do."""

from __future__ import annotations


class GatewayError(Exception):
    """The base of all errors of the local gateway."""


class PortInUse(GatewayError):
    """The gateway's port is taken by another program."""


class StackError(GatewayError):
    """stack.yml, or a file it names, is wrong or missing."""


class ScheduleError(StackError):
    """A cron schedule cannot be understood or never comes."""


class UnknownFunction(GatewayError):
    """No function of this name is in stack.yml."""


class StartFailed(GatewayError):
    """A function's process ended, or did not listen in time, when it was started."""


class Starting(GatewayError):
    """The function is not listening yet, and this gateway was told to let such calls fail."""
