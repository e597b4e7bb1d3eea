"""A long HTML report is delivered as a page for each account beside its index; into a device or a pipe it goes as one file."""

import os
import threading
from dataclasses import replace

import pytest

from auditor.cli import _options
from auditor.reports.html import FULL_ACCOUNTS
from tests.reports.invented import dim_account, report

FLEET = report(*(replace(dim_account(), name=f"desk-{place}") for place in range(FULL_ACCOUNTS + 1)))
SHOWN = {"verbose": False, "min_coverage": 0.5}


def test_an_index_and_its_pages(tmp_path):
    _options.deliver(FLEET, ("html",), tmp_path / "audit.html", **SHOWN)
    assert {path.name for path in tmp_path.iterdir()} == {"audit.html", "audit-accounts"}
    pages = sorted(path.name for path in (tmp_path / "audit-accounts").iterdir())
    assert pages == [f"{place:05}.html" for place in range(1, FULL_ACCOUNTS + 2)]
    assert all((tmp_path / "audit-accounts" / page).stat().st_mode & 0o777 == 0o600 for page in pages)


def test_beside_other_formats_they_go_into_the_folder(tmp_path):
    _options.deliver(FLEET, ("html", "json"), tmp_path / "out", **SHOWN)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "report-accounts", "report.json"}


def test_a_short_report_is_one_file(tmp_path):
    _options.deliver(report(), ("html",), tmp_path / "audit.html", **SHOWN)
    assert [path.name for path in tmp_path.iterdir()] == ["audit.html"]


def test_standard_output_gets_one_file(capfdbinary):
    _options.deliver(FLEET, ("html",), None, **SHOWN)
    said = capfdbinary.readouterr().out
    assert said.count(b"<!DOCTYPE html>") == 1
    assert said.count(b'class="account"') == FULL_ACCOUNTS


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_gets_one_file_and_no_folder(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    _options.deliver(FLEET, ("html",), pipe, **SHOWN)
    reader.join(20)
    assert read[0].count(b"<!DOCTYPE html>") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
