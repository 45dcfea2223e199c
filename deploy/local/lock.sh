#!/bin/sh
# Makes requirements.txt (with hashes, for this machine) and shared/constraints.txt (for the functions' images).
set -eu
cd "$(dirname "$0")/../.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool"
"$tool/bin/pip" install --quiet --disable-pip-version-check pip-tools==7.6.2
"$tool/bin/pip-compile" --quiet --upgrade --generate-hashes --strip-extras --no-emit-index-url \
    --no-emit-find-links --no-emit-trusted-host --output-file requirements.txt requirements.in
{
    echo "# The pins of requirements.txt without hashes, for the functions' images. Made by make lock."
    sed -nE 's/^([a-z0-9_.-]+==[^ ]+).*/\1/p' requirements.txt
} > shared/constraints.txt
echo "Pins changed? Bring functions/*/requirements.txt and template/*/requirements.txt in line; a test compares them."
