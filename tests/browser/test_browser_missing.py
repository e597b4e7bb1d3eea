"""Where Chromium is missing nothing passes in silence: the tests say so, and fail where it has to be there."""

import pytest

from tests.browser import chromium


@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.fail.Exception), (None, pytest.skip.Exception)])
def test_a_missing_browser_is_said(monkeypatch, required, outcome):
    monkeypatch.setattr(chromium.shutil, "which", lambda _name: None)
    monkeypatch.delenv("CI", raising=False)
    if required:
        monkeypatch.setenv("CI", required)
    with pytest.raises(outcome, match="apt install chromium"):
        chromium.executable()
