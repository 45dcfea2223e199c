from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from local.gateway import Gateway

TEMPLATES = Path(__file__).resolve().parents[3] / "template"


class Project:
    """A folder with tiny functions; `gateway()` starts a gateway over it, stopped at the test's end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state, self.secrets = folder / "state", folder / "secrets"
        self.secrets.mkdir()
        self.document: dict = {"provider": {"name": "openfaas"}, "functions": {}}
        self.started: list[Gateway] = []

    @property
    def stack(self) -> Path:
        return self.folder / "stack.yml"

    def add(self, name: str, handler: str, **fields) -> None:
        """A function with this handler source; `fields` are stack.yml's (environment, secrets, ...)."""
        source = self.folder / "functions" / name
        source.mkdir(parents=True, exist_ok=True)
        (source / "handler.py").write_text(handler)
        self.document["functions"][name] = {
            "lang": "python3-http",
            "handler": f"./functions/{name}",
            "image": f"shop/{name}:latest",
            "environment": {"function_name": name},
            **fields,
        }

    def write(self) -> None:
        self.stack.write_text(yaml.safe_dump(self.document, sort_keys=False))

    def gateway(self, **options) -> Gateway:
        self.write()
        gateway = Gateway(self.stack, state_dir=self.state, secrets_dir=self.secrets, template_dir=TEMPLATES, **options)
        self.started.append(gateway)
        gateway.start()
        return gateway


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    yield project
    for gateway in project.started:
        gateway.stop(drain=2)
