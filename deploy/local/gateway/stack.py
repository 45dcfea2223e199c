"""Reads stack.yml, faas-cli's file: the functions, their environment, secrets and annotations."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from local.gateway.cron import Schedule
from local.gateway.errors import ScheduleError, StackError

# faas-cli substitutes ${NAME} and ${NAME:-default} before it reads the YAML.
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class FunctionSpec:
    """One function as stack.yml describes it; `schedule` is set when the cron-connector calls it."""

    name: str
    image: str
    handler: Path
    template: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    schedule: Schedule | None = None


@dataclass(frozen=True)
class Stack:
    """The functions by name, and the folders that `configuration.copy` puts into each of them."""

    folder: Path
    functions: Mapping[str, FunctionSpec]
    copied: tuple[str, ...]


def read_stack(path: Path | str, template_dir: Path | None = None, variables: Mapping[str, str] = os.environ) -> Stack:
    """Read the stack; raises StackError that lists every mistake.

    `template_dir` holds one folder per `lang`; by default it is `template` beside the file. `variables` fill
    ${NAME} in the file.
    """
    path = Path(path).resolve()
    document = _read_yaml(path, variables)
    functions = document.get("functions")
    if not isinstance(functions, dict) or not functions:
        raise StackError(f"{path}: there is no 'functions' section; list at least one function")
    problems: list[str] = []
    specs: dict[str, FunctionSpec] = {}
    for name, entry in functions.items():
        try:
            specs[name] = _function(path.parent, template_dir or path.parent / "template", name, entry or {})
        except StackError as error:
            problems.append(str(error))
    copied = tuple(str(item) for item in (document.get("configuration") or {}).get("copy") or ())
    problems += [
        f"configuration.copy: there is no folder {path.parent / item}"
        for item in copied
        if not (path.parent / item).is_dir()
    ]
    if problems:
        raise StackError(f"{path}: " + "; ".join(problems))
    return Stack(path.parent, specs, copied)


def _read_yaml(path: Path, variables: Mapping[str, str]) -> dict:
    try:
        text = path.read_text()
    except OSError as error:
        raise StackError(f"{path}: cannot be read ({error.strerror})") from error
    filled = VARIABLE.sub(lambda match: variables.get(match[1]) or match[2] or "", text)
    try:
        document = yaml.safe_load(filled)
    except yaml.YAMLError as error:
        raise StackError(f"{path}: is no YAML: {error}") from error
    if not isinstance(document, dict):
        raise StackError(f"{path}: holds no YAML mapping")
    return document


def _function(folder: Path, templates: Path, name: str, entry: Mapping) -> FunctionSpec:
    handler, template = folder / str(entry.get("handler", "")), templates / str(entry.get("lang", ""))
    if not entry.get("handler") or not (handler / "handler.py").is_file():
        raise StackError(f"{name}: its handler folder {handler} holds no handler.py")
    if not entry.get("lang") or not (template / "index.py").is_file():
        raise StackError(f"{name}: there is no template {template}; set 'lang' to a folder in {templates}")
    environment = _texts(entry.get("environment"))
    for file in entry.get("environment_file") or ():
        # As faas-cli has it, what a file says wins over the function's own environment.
        environment |= _texts(_read_yaml(folder / file, {}).get("environment"))
    annotations = _texts(entry.get("annotations"))
    return FunctionSpec(
        name=name,
        image=str(entry.get("image", "")),
        handler=handler,
        template=template,
        environment=environment,
        secrets=tuple(entry.get("secrets") or ()),
        labels=_texts(entry.get("labels")),
        annotations=annotations,
        schedule=_schedule(name, annotations),
    )


def _schedule(name: str, annotations: Mapping[str, str]) -> Schedule | None:
    if annotations.get("topic") != "cron-function":
        return None
    try:
        return Schedule(annotations.get("schedule", ""))
    except ScheduleError as error:
        raise StackError(f"{name}: {error}") from error


def _texts(mapping: Mapping | None) -> dict[str, str]:
    """A YAML mapping as the texts faas-cli would send: `true`, not Python's `True`."""
    return {
        str(key): "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in (mapping or {}).items()
    }
