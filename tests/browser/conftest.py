"""One browser a module: it is closed before another module runs an event loop of its own."""

import pytest

from auditor.reports.html import files, render
from tests.browser import chromium
from tests.reports.invented import bad_account, report


@pytest.fixture(scope="module")
def browser():
    with chromium.launched() as found:
        yield found


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The invented report as a file."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(render(report()))
    return path


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """A run that is split: its index, with the pages beside it."""
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("fleet")
    accounts = (replace(bad_account(), name=f"account #{place} 100%") for place in range(30))
    for name, content in files(report(*accounts), "my report #1.html").items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "my report #1.html"
