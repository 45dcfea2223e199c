"""`python -m cli`, as deploy/pushcart runs it."""

from cli.root import pushcart

pushcart(prog_name="pushcart")
