# make run     the shop on this machine, with one purchase to watch; ONCE=1 ends after it
# make site    the shop's pages, built into build/site/ for any static host
# make test    every test, in two processes; WORKERS=1 for one
# make soak    a simulated month with everything that goes wrong, 2,000 orders; ORDERS=, DAYS=, SEED= choose another
# make bench   what it costs on this machine, compared and kept; ONLY=ack|checkout|chain|memory|sweep|metrics|recovery|alerts|site measures a part
# make lint    ruff
# make docs    the reference tables in README.md, made anew from the code
# make lock    the pins in requirements.txt and shared/constraints.txt, made anew from requirements.in
# make install links the owner's command to ~/.local/bin/pushcart; PREFIX=/usr/local for everybody
# make secrets fills .secrets/ for a deployment: fresh keys of our own, and "unused" for what is missing

PORT ?= 8080
SANDBOX_PORT ?= 4010
SITE_PORT ?= 4000
STORE ?=
ONCE ?=
TESTS ?=
WORKERS ?= 2
PREFIX ?= $(HOME)/.local
ONLY ?=
ORDERS ?= 2000
DAYS ?= 30
SEED ?= 1

export PYTHONPATH := shared:deploy
# One cache of byte code for all that make starts.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.pushcart/pycache

.PHONY: run site test soak bench lint lock docs install secrets clean

run:
	@deploy/local/setup.sh
	@.venv/bin/python -m local.run --port $(PORT) --sandbox-port $(SANDBOX_PORT) --site-port $(SITE_PORT) $(if $(ONCE),--once) $(if $(STORE),--store '$(STORE)')

site:
	@deploy/local/setup.sh
	@.venv/bin/python -m storefront

# In the folders' own order the small files come last, so that both processes end together.
test:
	@deploy/local/setup.sh tests
	@.venv/bin/python -m ruff check --quiet .
	@TMPDIR=$$(tests/scratch.sh) .venv/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

soak:
	@deploy/local/setup.sh tests
	@TMPDIR=$$(tests/scratch.sh) ORDERS=$(ORDERS) DAYS=$(DAYS) SEED=$(SEED) .venv/bin/python -m pytest -s tests/crash/test_month.py

bench:
	@deploy/local/setup.sh tests
	@PYTHONPATH=$(PYTHONPATH):tests .venv/bin/python -m bench $(if $(ONLY),--only $(ONLY))

lint:
	@deploy/local/setup.sh
	@.venv/bin/python -m ruff check .

lock:
	@deploy/local/setup.sh
	@deploy/local/lock.sh

docs:
	@deploy/local/setup.sh
	@.venv/bin/python -m local.reference --write

install:
	@mkdir -p "$(PREFIX)/bin"
	@ln -sf "$(CURDIR)/deploy/pushcart" "$(PREFIX)/bin/pushcart"
	@echo "$(PREFIX)/bin/pushcart is there; try: pushcart --help"

secrets:
	@deploy/local/setup.sh
	@.venv/bin/python -m local.secrets

clean:
	rm -rf .venv .pushcart build
