#!/bin/sh
# Makes .venv with the locked packages, and with "tests" also what the tests need from outside Python.
# Quick when everything is there. Whatever is missing is named in one sentence, with the next step.
set -eu
cd "$(dirname "$0")/../.."

fail() { printf 'Pushcart cannot be set up: %s\n' "$1" >&2; exit 2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' >/dev/null 2>&1; }

python=${PYTHON:-}
if [ -z "$python" ]; then
    for name in python3.13 python3.12 python3.11 python3; do
        if new_enough "$name"; then
            python=$name
            break
        fi
    done
fi
{ [ -n "$python" ] && new_enough "$python"; } \
    || fail "Python 3.11 or newer is needed. On Debian or Ubuntu: sudo apt install python3 python3-venv"

want=$(cksum < requirements.txt)
if [ "$(cat .venv/.installed 2>/dev/null || true)" != "$want" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    echo "Setting up .venv (once; about half a minute) ..." >&2
    "$python" -m venv --clear .venv >/dev/null 2>&1 \
        || fail "$python has no venv module. On Debian or Ubuntu: sudo apt install python3-venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --require-hashes \
        -r requirements.txt >.venv/pip.log 2>&1 \
        || fail "the packages could not be downloaded. Check this machine's network and try again; pip's words are in .venv/pip.log"
    printf '%s\n' "$want" > .venv/.installed
fi

[ "${1:-}" = tests ] || exit 0

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! browser >/dev/null 2>&1; then
    command -v apt-get >/dev/null 2>&1 || fail "the browser tests need Chromium; install it and put it on the PATH"
    root=""
    [ "$(id -u)" = 0 ] || root=sudo
    echo "Installing Chromium for the browser tests (once) ..." >&2
    { $root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends \
        chromium; } >.venv/apt.log 2>&1 \
        || fail "Chromium could not be installed; see .venv/apt.log, or install it by hand"
fi
