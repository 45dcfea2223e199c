"""The bundle is what faas-cli builds and deploys: its real commands accept it, and what it lays out runs by itself.

faas-cli is taken from the PATH or installed with Go's own client. Where neither gives it, its tests are skipped and
say so; with REQUIRE_FAAS_CLI=1 that is a failure.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from local.shop import LocalShop

ROOT = Path(__file__).parents[2]
STACK = ROOT / "stack.yml"
FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/handler.py"))

#: The version the facts about faas-cli were measured with.
FAAS_CLI = "github.com/openfaas/faas-cli@0.18.12"


@functools.cache
def faas_cli() -> str:
    """The path of faas-cli; skips (or fails, where it is required) with the reason when it cannot be had."""
    tools = ROOT / ".pushcart" / "tools"
    found = shutil.which("faas-cli") or shutil.which("faas-cli", path=str(tools))
    if found:
        return found
    reason = "faas-cli is not on the PATH, and there is no Go to install it with"
    if shutil.which("go"):
        environ = {**os.environ, "GOBIN": str(tools)}
        made = subprocess.run(
            ["go", "install", FAAS_CLI], env=environ, capture_output=True, text=True, timeout=400, check=False
        )
        if made.returncode == 0:
            return str(tools / "faas-cli")
        reason = f"go install {FAAS_CLI} failed: {made.stderr.strip()[-300:]}"
    if os.environ.get("REQUIRE_FAAS_CLI"):
        pytest.fail(reason)
    return pytest.skip(reason)


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the repository holds, because faas-cli writes its build folder beside stack.yml."""
    names = ["stack.yml", "functions", "template", "shared", "deploy"]
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def test_faas_cli_lays_out_every_function(checkout):
    command = [faas_cli(), "build", "--shrinkwrap", "-f", "stack.yml"]
    built = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    for name in FUNCTIONS:
        folder = checkout / "build" / name
        for file in ("Dockerfile", "index.py", "function/handler.py", "function/shared/pushcart/__init__.py",
                     "function/deploy/shop/shop.yml"):  # fmt: skip
            assert (folder / file).exists(), f"{name}: {file}"


def test_faas_cli_generates_what_the_operator_takes(checkout):
    command = [faas_cli(), "generate", "-f", "stack.yml"]
    made = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    documents = [document for document in yaml.safe_load_all(made.stdout) if document]
    assert sorted(document["metadata"]["name"] for document in documents) == FUNCTIONS
    assert {document["kind"] for document in documents} == {"Function"}


def shrinkwrap(name: str, target: Path) -> Path:
    """build/NAME as `faas-cli build --shrinkwrap` lays it out: template, handler, then `configuration.copy`."""
    stack = yaml.safe_load(STACK.read_text())
    function = stack["functions"][name]
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "template" / function["lang"], target, ignore=ignored)
    shutil.rmtree(target / "function")
    shutil.copytree(ROOT / function["handler"], target / "function", ignore=ignored)
    for path in stack["configuration"]["copy"]:
        shutil.copytree(ROOT / path, target / "function" / path, ignore=ignored)
    return target


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_laid_out_runs_away_from_the_checkout(name, tmp_path):
    """Nothing but the build folder is on the path, so what the image would miss is missed here."""
    folder = shrinkwrap(name, tmp_path / "build")
    declared = yaml.safe_load(STACK.read_text())["functions"][name]
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    with LocalShop(tmp_path / "state", catch_up=False) as shop:
        for secret in declared["secrets"]:
            shutil.copy(shop.state_dir / "secrets-all" / secret, secrets)
    environ = {
        "PATH": os.environ["PATH"],
        "port": "0",
        "secret_mount_path": str(secrets),
        "function_name": name,
        "kit_client_id": "sandbox",
        "autopay_service_id": "123456",
    }
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "index.py"],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        line = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert line["msg"] == "listening", line
    assert process.returncode == 0
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_without_its_secrets_names_them_all_and_exits_with_an_error(name, tmp_path):
    folder = shrinkwrap(name, tmp_path / "build")
    (tmp_path / "secrets").mkdir()
    environ = {"PATH": os.environ["PATH"], "port": "0", "secret_mount_path": str(tmp_path / "secrets")}
    done = subprocess.run(
        [sys.executable, "index.py"], cwd=folder, env=environ, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) == 1, "one clear line, no traceback"
    told = json.loads(lines[0])
    assert "internal-key" in told["msg"]
    assert "function_name" in told["msg"]
