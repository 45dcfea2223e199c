from __future__ import annotations

import pytest

from unit.template.template_process import TemplateProcess


@pytest.fixture
def run_function(tmp_path):
    """Start the template around a handler's source: run_function(handler, environment, files)."""
    started: list[TemplateProcess] = []

    def run(handler, environment=None, files=None) -> TemplateProcess:
        folder = tmp_path / f"function{len(started)}"
        folder.mkdir()
        started.append(TemplateProcess(folder, handler, environment, files))
        return started[-1]

    yield run
    for process in started:
        process.close()
