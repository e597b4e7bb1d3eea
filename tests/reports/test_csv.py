"""CSV, read back by Python and DuckDB, and looked at as a spreadsheet would."""

import csv as stdlib_csv
import io
from dataclasses import replace

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.reports import csv
from tests.reports.invented import bad_account, hostile, report
from tests.reports.strangers import TRICKS
from tests.reports.validators import read_csv

FORMULAS = [
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "  \t -1",
        "'=1",
        '"=1',
        "`=1",
        "\" '=1",
        "\uff1d1",
        "\uff0b1",
    ),
    *("\uff0d1", "\uff201", "\ufe661", "=cmd|' /C calc'!A0", "x;=1", "x; =1", 'x;"@1', "x;y;\uff1d1"),
]


def is_formula(cell):
    """What a spreadsheet would compute: after what it strips, one of the signs a formula starts with, wide ones included."""
    return cell.strip().lstrip("\"'` \t").startswith(
        tuple("=+-@\uff1d\uff0b\uff0d\uff20\ufe66")
    ) and not cell.startswith("'")


def cells(content, delimiter):
    return [
        cell
        for row in stdlib_csv.reader(io.StringIO(content.decode(), newline=""), delimiter=delimiter)
        for cell in row
    ]


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_no_cell_is_a_formula(text, delimiter):
    content = csv.render(report(hostile(text)))
    assert not [cell for cell in cells(content, delimiter) if is_formula(cell)]


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("=+-@;,'\"` \t\r\n\uff1da1"), max_size=8))
def test_no_cell_is_a_formula_whatever_stands_in_it(text):
    content = csv.render(report(hostile(text)))
    for delimiter in (",", ";"):
        assert not [cell for cell in cells(content, delimiter) if is_formula(cell)], text


def test_the_rest_of_the_text_stays():
    rows = read_csv(csv.render(report(hostile("=1+1"))))
    assert rows[0]["subject"] == "'=1+1"
    assert read_csv(csv.render(report(hostile("a-b=c"))))[0]["subject"] == "a-b=c"


def test_numbers_stay_numbers_and_nobody_knows_is_empty():
    rows = read_csv(csv.render(report()))
    assert (rows[0]["score_low"], rows[0]["coverage"], rows[0]["gain"]) == ("17.977", "0.5812", "2.5")
    assert rows[1]["on_path"] in {"", "true"} and rows[4]["gain"] == ""
    account = bad_account()
    nothing = replace(account.score, low=None, high=None, grade=None, coverage=None)
    assert read_csv(csv.render(report(replace(account, score=nothing))))[0]["score_low"] == ""


def test_the_header_is_there_without_rows():
    assert csv.render(replace(report(), accounts=())).decode() == ",".join(csv.COLUMNS) + "\r\n"


@pytest.mark.parametrize("trick", sorted(set(TRICKS) - {"empty"}))
@pytest.mark.parametrize("account", [bad_account(), None])
def test_duckdb_reads_it_without_being_told_how(tmp_path, trick, account):
    value = report(account or hostile(TRICKS[trick]))
    path = tmp_path / "report.csv"
    path.write_bytes(csv.render(value))
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT rule, outcome, fingerprint FROM read_csv(?, header=true, quote='\"', escape='\"', delim=',')",
            [str(path)],
        ).fetchall()
    expected = [(one.rule, one.outcome.value, one.subject.fingerprint) for one in value.accounts[0].findings]
    assert [tuple(map(str, row)) for row in rows] == expected
