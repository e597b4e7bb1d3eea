"""A JSON report in parts: each is a report of its own, the index leads to all of them, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auditor import pipeline
from auditor.errors import InputError
from auditor.model.report import Report
from auditor.reports import FORMATS, _parts, parse
from auditor.reports import json as json_format
from tests.reports.invented import bad_account, dim_account, report

JSON = FORMATS["json"]


def fleet(count: int) -> Report:
    accounts = [replace((bad_account, dim_account)[place % 2](), name=f"desk-{place:03}") for place in range(count)]
    made = report(*accounts)
    return replace(made, summary=pipeline.summary(made.accounts))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parts, "MANY", 4)
    monkeypatch.setattr(_parts, "PART", 2)


def written(made: Report, folder: Path, name: str = "report.json") -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    for file, chunks in JSON.files(made, name, folder=True):
        (folder / file).write_bytes(b"".join(chunks))
    return {path.name: json.loads(path.read_bytes()) for path in sorted(folder.iterdir())}


def test_parts_and_index(small: None, tmp_path: Path) -> None:
    made = fleet(7)
    files = written(made, tmp_path)
    assert list(files) == [
        "report-0001.json",
        "report-0002.json",
        "report-0003.json",
        "report-0004.json",
        "report.json",
    ]
    index = files.pop("report.json")
    Draft202012Validator.check_schema(_parts.schema())
    Draft202012Validator(_parts.schema()).validate(index)
    schema = Draft202012Validator(json_format.schema())
    for number, part in enumerate(files.values(), 1):
        schema.validate(part)
        assert part["part"] == {"number": number, "of": 4}
        assert part["run"] == index["run"] and part["summary"] == index["summary"]
        assert part["summary"]["accounts"] == 7 and part["problems"] == index["problems"]
    names = [account["name"] for part in files.values() for account in part["accounts"]]
    assert names == [one.name for one in made.accounts] == [line["name"] for line in index["accounts"]]
    for line in index["accounts"]:
        held = files[index["parts"][line["part"] - 1]["file"]]
        (account,) = [one for one in held["accounts"] if one["name"] == line["name"]]
        assert line["score"] == account["score"] and line["exchange"] == account["exchange"]
        fails = [one["severity"] for one in account["findings"] if one["outcome"] == "fail"]
        assert line["failing"] == {severity: fails.count(severity) for severity in line["failing"]}
        assert line["undecided"] == sum(one["outcome"] in {"unknown", "error"} for one in account["findings"])
    for part in index["parts"]:
        assert part["sha256"] == hashlib.sha256((tmp_path / part["file"]).read_bytes()).hexdigest()
        assert part["accounts"] == len(files[part["file"]]["accounts"])


def test_few_accounts_and_one_file_are_one_document(small: None, tmp_path: Path) -> None:
    assert list(written(fleet(4), tmp_path)) == ["report.json"]
    made = fleet(5)
    ((name, chunks),) = JSON.files(made, "own.json")
    assert name == "own.json" and b"".join(chunks) == json_format.render(made)


def test_the_index_leads_back_to_the_report(small: None, tmp_path: Path) -> None:
    made = fleet(5)
    written(made, tmp_path)
    read = parse.read(tmp_path / "report.json")
    assert json_format.render(read) == json_format.render(made)
    again = tmp_path / "again"
    written(read, again)
    assert [path.read_bytes() for path in sorted(again.iterdir())] == [
        path.read_bytes() for path in sorted(tmp_path.glob("*.json"))
    ]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as found:
        parse.read(path)
    (fault,) = found.value.faults
    assert fault.hint
    return str(fault)


def test_a_part_alone_is_no_report(small: None, tmp_path: Path) -> None:
    """Its summary speaks of accounts that are not in it: no exit code may come of it."""
    written(fleet(5), tmp_path)
    assert "is one part of a report" in refused(tmp_path / "report-0001.json")


def test_parts_that_were_changed_swapped_or_lost_are_refused(small: None, tmp_path: Path) -> None:
    written(fleet(5), tmp_path)
    first, second, index = (tmp_path / name for name in ("report-0001.json", "report-0002.json", "report.json"))
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(one.replace(b'"outcome":"fail"', b'"outcome":"pass"', 1))
    assert "report-0001.json: is not the part" in refused(index)
    first.write_bytes(two)
    second.write_bytes(one)
    assert "is not the part" in refused(index)
    first.write_bytes(one)
    second.unlink()
    with pytest.raises(InputError, match=r"report-0002\.json: cannot be read"):
        parse.read(index)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.pop("parts"), "names no parts"),
        (lambda it: it.update(parts=[]), "names no parts"),
        (lambda it: it.update(parts=["report-0001.json"]), "names no parts"),
        (lambda it: it["parts"][0].update(file="../report-0001.json"), "lies elsewhere"),
        (lambda it: it["parts"][0].update(file="/etc/hostname.json"), "lies elsewhere"),
        (lambda it: it["parts"][0].update(file=7), "lies elsewhere"),
        (lambda it: it["parts"].pop(), "belongs elsewhere"),
        (lambda it: it["parts"].reverse(), "belongs elsewhere"),
        (lambda it: it["parts"].append(it["parts"][0]), "belongs elsewhere"),
        (lambda it: it["run"].update(id="another"), "belongs elsewhere"),
        (lambda it: it["summary"].update(accounts=4), "a count that cannot be"),
        (lambda it: it.pop("summary"), "shape"),
        (lambda it: it["parts"][0].update(file="report.json"), "is not the part"),
    ],
)
def test_an_index_that_says_something_else_is_refused(small: None, tmp_path: Path, change: Any, said: str) -> None:
    index = written(fleet(5), tmp_path)["report.json"]
    change(index)
    (tmp_path / "report.json").write_text(json.dumps(index))
    assert said in refused(tmp_path / "report.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda account: account["paths"][0]["steps"][0].update(step=99),
        lambda account: account["paths"][0]["steps"][0].update(step=-1),
        lambda account: account["paths"][0]["steps"][0].update(step="0"),
        lambda account: account["steps"][0].update(does="nothing"),
        lambda account: account["findings"][0].update(rule="unheard-of"),
        lambda account: account["findings"][-1].update(fix=None, rule="unheard-of"),
    ],
)
def test_what_points_nowhere_is_refused(tmp_path: Path, change: Any) -> None:
    document = json.loads(json_format.render(report()))
    change(document["accounts"][0])
    (tmp_path / "r.json").write_text(json.dumps(document))
    refused(tmp_path / "r.json")


def test_texts_that_differ_from_those_of_the_rule_are_kept(tmp_path: Path) -> None:
    """Two accounts of one exchange with other steps, and a finding whose words are its own: nothing is lost."""
    one = bad_account()
    odd = tuple(
        replace(
            item,
            title=f"own {place}",
            incidents=("INC-own",),
            fix=replace(item.fix, steps=("Own step.",), effort="high"),
        )
        for place, item in enumerate(one.findings)
    )
    ways = tuple(replace(way, goal_text="own goal", capability_text="own means") for way in one.paths or ())
    made = report(one, replace(one, name="other", findings=odd, paths=ways))
    content = json_format.render(made)
    Draft202012Validator(json_format.schema()).validate(json.loads(content))
    (tmp_path / "r.json").write_bytes(content)
    read = parse.read(tmp_path / "r.json")
    assert read.accounts[1].findings == odd and read.accounts[1].paths == ways
    assert read.accounts[0].findings == one.findings
