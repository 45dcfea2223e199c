"""The Dockerfile against a build context laid out as `faas-cli build --shrinkwrap` does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

TEMPLATE = Path(__file__).resolve().parents[3] / "template" / "python3-http"
DOCKERFILE = (TEMPLATE / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE)).splitlines()


@pytest.fixture
def context(tmp_path):
    """build/NAME: the template's files, the handler's over its sample, the shared folder inside."""
    shutil.copytree(TEMPLATE, tmp_path / "build")
    function = tmp_path / "build" / "function"
    for name, text in {
        "handler.py": "def handle(event, context): ...",
        "requirements.txt": "stripe\n",
        "handler_test.py": "def test(): ...",
        "shared/constraints.txt": "stripe==16.1.0\n",
        "shared/common-requirements.txt": "requests\n",
        "shared/pushcart/__init__.py": "",
    }.items():
        (function / name).parent.mkdir(parents=True, exist_ok=True)
        (function / name).write_text(text)
    return tmp_path / "build"


def copies() -> list[tuple[int, list[str]]]:
    """(position, sources) of each COPY that takes from the build context."""
    found = []
    for position, line in enumerate(INSTRUCTIONS):
        words = line.split()
        if words[:1] == ["COPY"] and not any(word.startswith("--from") for word in words):
            found.append((position, [word for word in words[1:-1] if not word.startswith("--")]))
    return found


def test_every_copied_path_exists_in_the_build_context(context):
    sources = [source for _, sources in copies() for source in sources]
    assert "index.py" in sources
    for source in sources:
        assert (context / source).exists(), source


def test_every_module_of_the_template_is_copied(context):
    copied = {source.strip("/") for _, sources in copies() for source in sources}
    code = {path.relative_to(TEMPLATE).parts[0] for path in TEMPLATE.rglob("*.py")} - {"__pycache__"}
    assert code <= copied


def test_what_all_functions_share_comes_before_what_is_ones_own():
    order = [source for _, sources in copies() for source in sources]
    assert [
        order.index(source)
        for source in (
            "requirements.txt",
            "function/shared/common-requirements.txt",
            "function/shared/pushcart/",
            "function/requirements.txt",
        )
    ] == sorted(
        order.index(source)
        for source in (
            "requirements.txt",
            "function/shared/common-requirements.txt",
            "function/shared/pushcart/",
            "function/requirements.txt",
        )
    )
    shared_stage = DOCKERFILE[DOCKERFILE.index(" AS shared") : DOCKERFILE.index("FROM shared AS handler")]
    assert set(re.findall(r"function/[\w./-]*", shared_stage)) == {
        "function/shared/constraints.txt",
        "function/shared/common-requirements.txt",
        "function/shared/",
        "function/shared/pushcart/",
        "function/shared",
    }


def test_what_is_copied_can_be_read_by_the_functions_user():
    assert all("--chmod=755" in INSTRUCTIONS[position] for position, _ in copies())


def test_packages_of_functions_are_installed_under_the_lock():
    installs = [line for line in INSTRUCTIONS if "pip install" in line]
    assert len(installs) == 3
    assert all("-c function/shared/constraints.txt" in line for line in installs[1:])


def test_the_templates_packages_are_the_ones_the_project_is_locked_to():
    lock = (TEMPLATE.parents[1] / "requirements.txt").read_text()
    pinned = (TEMPLATE / "requirements.txt").read_text().split()
    assert {line.split("==")[0] for line in pinned} == {"flask", "waitress", "python-json-logger"}
    for line in pinned:
        assert re.search(rf"(?m)^{re.escape(line)} ", lock), f"{line} is not what requirements.txt pins"


def test_it_runs_without_root_and_the_watchdogs_write_timeout_is_the_longer_one():
    settings = dict(re.findall(r'(\w+)="([^"]*)"', DOCKERFILE[DOCKERFILE.index("\nENV fprocess") :]))
    assert settings["mode"] == "http"
    assert settings["upstream_url"] == "http://127.0.0.1:5000"
    assert int(settings["write_timeout"].rstrip("s")) > int(settings["exec_timeout"].rstrip("s"))
    assert settings["log_buffer_size"] == "-1"
    assert [line for line in INSTRUCTIONS if line.startswith("USER ")] == ["USER app"]
    assert settings["fprocess"] == yaml.safe_load((TEMPLATE / "template.yml").read_text())["fprocess"]
