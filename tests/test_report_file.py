"""`auditor report FILE`: a kept report comes back as it was, and nothing else is taken for one."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor import demo
from auditor.errors import InputError
from auditor.model.report import Report
from auditor.reports import FORMATS, parse
from auditor.reports import json as as_json
from tests import stage
from tests.reports.invented import report as invented

GOLDEN = json.loads((Path(__file__).parent / "golden/report.json").read_text())
ODD: tuple[Any, ...] = (None, [], {}, "x\x1b[31m", -1, 1e300, True, [{}], ["a", 1], {"a": {}})


@pytest.fixture(scope="module")
def real() -> bytes:
    with stage.hurried():
        return as_json.render(demo.run(stage.NOW))


def kept(folder: Path, content: bytes | str) -> Path:
    path = folder / "report.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_what_was_written_is_read_back_to_the_last_byte(tmp_path: Path, real: bytes) -> None:
    for content in (real, as_json.render(invented())):
        assert as_json.render(parse.read(kept(tmp_path, content))) == content


def test_every_format_of_a_report_read_back_is_that_of_the_report(tmp_path: Path, real: bytes) -> None:
    report = parse.read(kept(tmp_path, real))
    with stage.hurried():
        fresh = demo.run(stage.NOW)
    options = {"width": 80, "colour": False, "verbose": True, "min_coverage": 0.5}
    for name, form in FORMATS.items():
        assert form.render(report, **options) == form.render(fresh, **options), name


def test_the_command_gives_the_code_of_the_run(tmp_path: Path, real: bytes) -> None:
    mine = stage.Stage(tmp_path)
    kept(mine.work, real)
    assert mine.run("report", "report.json", "-q", "-o", "out.txt").code == 13
    assert mine.run("report", "report.json", "-f", "json").out.encode() == real


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def spoiled(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    document = copy.deepcopy(document)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return document


def read_or_refuse(path: Path) -> Report | None:
    """The report, or None where it is refused with one fault and a hint. Anything else that is raised fails the test."""
    try:
        return parse.read(path)
    except InputError as error:
        (fault,) = error.faults
        if not fault.hint:
            raise
        return None


def test_whatever_stands_anywhere_is_refused_or_shown(tmp_path: Path) -> None:
    """One place of each shape, each with something odd: an InputError or a rendering, never anything else."""
    shapes = {tuple("*" if isinstance(key, int) else key for key in path): path for path in places(GOLDEN)}
    refused = shown = 0
    for path in shapes.values():
        for value in ODD:
            report = read_or_refuse(kept(tmp_path, json.dumps(spoiled(GOLDEN, path, value))))
            if report is None:
                refused += 1
                continue
            shown += 1
            assert b"\x1b" not in FORMATS["text"].render(report, verbose=True), path
            if shown % 8 == 0:
                assert b"\x1b" not in FORMATS["html"].render(report), path
                json.loads(as_json.render(report))
    assert refused > 800 and shown > 100


@pytest.mark.parametrize("path", [path for path in places(GOLDEN) if isinstance(path[-1] if path else 0, str)][:200:4])
def test_a_missing_key_is_refused_or_had_a_default(tmp_path: Path, path: tuple[Any, ...]) -> None:
    document = copy.deepcopy(GOLDEN)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    report = read_or_refuse(kept(tmp_path, json.dumps(document)))
    assert report is None or FORMATS["text"].render(report)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b"null", "is not a report"),
        (b"[]", "is not a report"),
        (b'{"schema": "auditor/report/2"}', "is not a report"),
        (b'{"schema": "auditor/report/1"}', "shape"),
        (b'{"schema": "auditor/report/1", "schema": "auditor/report/1"}', "twice"),
        (b'{"schema": "auditor/report/1", "run": NaN}', "NaN"),
        (b'{"schema": "auditor/report/1", "run": 1e999}', "1e999"),
        (b'{"schema": "auditor/report/1", "run": -1e999}', "-1e999"),
        (b'{"schema": "auditor/report/1", "run": ' + b"9" * 5000 + b"}", "too long"),
        (b"[" * 100_000 + b"]" * 100_000, "deeply"),
        (b'{"schema":\n\n "auditor/report/1"', "not valid JSON"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"\x00" * 100, "not valid JSON"),
        (b"schema: auditor/report/1\n", "not valid JSON"),
    ],
)
def test_what_is_no_report(tmp_path: Path, content: bytes, said: str) -> None:
    mine = stage.Stage(tmp_path)
    kept(mine.work, content)
    before = mine.files()
    ran = mine.run("report", "report.json", "-f", "html", "-o", "out.html")
    assert (ran.code, ran.out) == (2, "") and said in ran.err and ran.err.count("error:") == 1
    assert mine.files() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["summary"]["findings"].update(critical=0, high=0, medium=0, low=0),
        lambda it: it["summary"].update(incomplete_accounts=[]) or it["summary"].update(coverage=1),
        lambda it: it["summary"].update(accounts=1),
        lambda it: it["accounts"].pop(),
        lambda it: it["accounts"].reverse(),
        lambda it: it["accounts"][0]["score"].update(low=101),
        lambda it: it["accounts"][0]["score"].update(coverage=1.5),
        lambda it: it["run"].update(started_at="2026-11-20T10:00:00"),
        lambda it: next(one for one in it["accounts"][0]["findings"] if one["outcome"] == "fail").update(
            outcome="pass"
        ),
    ],
)
def test_a_report_that_contradicts_itself_gives_no_code(tmp_path: Path, real: bytes, change: Any) -> None:
    """An edited summary must not turn a failing run into a green one."""
    mine = stage.Stage(tmp_path)
    document = json.loads(real)
    change(document)
    kept(mine.work, json.dumps(document))
    ran = mine.run("report", "report.json")
    assert (ran.code, ran.out) == (2, "") and "error: report.json" in ran.err
