# make run     the shop on this machine, with one purchase to watch; ONCE=1 ends after it
# make test    every test
# make lint    ruff
# make docs    the reference tables in README.md, made anew from the code
# make lock    the pins in requirements.txt and shared/constraints.txt, made anew from requirements.in
# make ask     one signed call to order-store: make ask CALL="GET /orders?limit=5"
# make secrets fills .secrets/ for a deployment: a fresh internal key, and "unused" for what is missing

PORT ?= 8080
SANDBOX_PORT ?= 4010
STORE ?=
ONCE ?=
TESTS ?=
CALL ?= GET /orders
BODY ?=

export PYTHONPATH := shared:deploy
export PYTHONDONTWRITEBYTECODE := 1
export CALL
export BODY

.PHONY: run test lint lock docs ask secrets clean

run:
	@deploy/local/setup.sh
	@.venv/bin/python -m local.run --port $(PORT) --sandbox-port $(SANDBOX_PORT) $(if $(ONCE),--once) $(if $(STORE),--store '$(STORE)')

test:
	@deploy/local/setup.sh tests
	@.venv/bin/python -m ruff check --quiet .
	@.venv/bin/python -m pytest $(TESTS)

lint:
	@deploy/local/setup.sh
	@.venv/bin/python -m ruff check .

lock:
	@deploy/local/setup.sh
	@deploy/local/lock.sh

docs:
	@deploy/local/setup.sh
	@.venv/bin/python -m local.reference --write

ask:
	@deploy/local/setup.sh
	@.venv/bin/python -m local.ask --port $(PORT)

secrets:
	@deploy/local/setup.sh
	@.venv/bin/python -m local.secrets

clean:
	rm -rf .venv .pushcart build
