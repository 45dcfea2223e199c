"""A local gateway that answers like OpenFaaS's and runs each function of stack.yml as its own process."""

from local.gateway.errors import (
    GatewayError,
    PortInUse,
    ScheduleError,
    StackError,
    StartFailed,
    UnknownFunction,
)
from local.gateway.gateway import Gateway

__all__ = ["Gateway", "GatewayError", "PortInUse", "ScheduleError", "StackError", "StartFailed", "UnknownFunction"]
