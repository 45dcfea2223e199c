"""Lays a function out in the state folder as `faas-cli build --shrinkwrap` would, with symbolic links."""

from __future__ import annotations

import shutil
from pathlib import Path

from local.gateway.stack import FunctionSpec, Stack


def lay_out(stack: Stack, spec: FunctionSpec, state_dir: Path) -> Path:
    """Make state_dir/build/NAME anew and return it: the template, and the handler with the copied folders."""
    build = _empty(state_dir / "build" / spec.name)
    _link_entries(spec.template, build, without={"function"})
    function = build / "function"
    function.mkdir()
    # A regular package, as the image has it: without it, another folder named `function` could mix in.
    (function / "__init__.py").touch()
    _link_entries(spec.handler, function, without={"__init__.py"})
    for copied in stack.copied:
        target = function / copied
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(stack.folder / copied)
    return build


def link_secrets(spec: FunctionSpec, secrets_dir: Path, state_dir: Path) -> Path:
    """A folder with this function's secrets and no other's; links, so that updates show at once.

    A secret that does not exist is left out: the function says itself what it misses.
    """
    folder = _empty(state_dir / "secrets" / spec.name)
    for secret in spec.secrets:
        if (secrets_dir / secret).is_file():
            (folder / secret).symlink_to((secrets_dir / secret).resolve())
    return folder


def _empty(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _link_entries(source: Path, target: Path, without: set[str]) -> None:
    for entry in source.iterdir():
        if entry.name not in without | {"__pycache__"}:
            (target / entry.name).symlink_to(entry.resolve())
