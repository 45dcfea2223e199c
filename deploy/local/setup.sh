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

mongo=.pushcart/servers/mongo
build_mongo=""
if [ -z "${MONGODB_URI:-}" ] && ! command -v mongod >/dev/null; then
    want=$(cat tests/support/mongo/* | cksum)
    { [ -x $mongo ] && [ "$(cat $mongo.built 2>/dev/null || true)" = "$want" ]; } || build_mongo=1
    { [ -z "$build_mongo" ] || command -v go >/dev/null; } \
        || fail "the tests need a MongoDB: put a mongod on the PATH, set MONGODB_URI, or install Go 1.22 or newer to build one"
fi

missing=""
{ command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || missing=" chromium"
{ ls /usr/lib/postgresql/*/bin/postgres || command -v postgres; } >/dev/null 2>&1 || missing="$missing postgresql"
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || fail "the tests need$missing; install them and put them on the PATH"
    root=""
    [ "$(id -u)" = 0 ] || root=sudo
    echo "Installing$missing for the tests (once) ..." >&2
    # The tests start a server of their own on a free port; Debian's package would start another one by itself.
    cluster=/etc/postgresql-common/createcluster.d/pushcart.conf
    { $root mkdir -p "$(dirname $cluster)" \
        && echo "create_main_cluster = false" | $root tee $cluster \
        && $root apt-get update -qq \
        && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
        && $root rm $cluster; } >.venv/apt.log 2>&1 </dev/null \
        || fail "$missing could not be installed; see .venv/apt.log, or install by hand"
fi

# A server that speaks MongoDB's protocol, where there is no real one.
if [ -n "$build_mongo" ]; then
    echo "Building a MongoDB server for the tests (once; about a minute) ..." >&2
    mkdir -p "$(dirname $mongo)"
    (cd tests/support/mongo && go build -trimpath -o "../../../$mongo" .) >.venv/go.log 2>&1 \
        || fail "tests/support/mongo could not be built (it takes Go 1.22 or newer); see .venv/go.log, or put a mongod on the PATH"
    printf '%s\n' "$want" > $mongo.built
fi
