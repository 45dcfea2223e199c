"""Pushcart: the back office of a small shop, as a library the functions are built from.

Direction of imports: `domain` imports no I/O; `store`, `providers` and `gateway` do I/O and import
`domain`; `services` joins them; handlers wire a service to a route and nothing imports a handler.
"""

__version__ = "0.1.0"
