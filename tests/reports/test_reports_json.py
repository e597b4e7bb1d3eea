"""The JSON report: what the schema accepts and refuses, and texts that try to break the encoding."""

import copy
import json
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from auditor.model.evidence import Reason
from auditor.model.facts import SCOPES
from auditor.model.report import Outcome
from auditor.model.rule import Severity
from auditor.reports import json as json_format
from auditor.reports._once import TABLES
from tests.reports.invented import bad_account, hostile, report

VALIDATOR = Draft202012Validator(json_format.schema())
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)


@pytest.fixture(scope="module")
def document():
    return json.loads(json_format.render(report()))


def places(value, path=()):
    """Every path at which something stands in a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def free(path):
    """Whether the schema leaves open what stands there: rows of the inventory, values of facts, free maps."""
    return any(key in path for key in ("api_keys", "addresses", "value", "waiver", "grades"))


def by_id(path):
    """Whether the keys of what stands there are ids, of which there may be more or fewer."""
    return path[:1] in {(name,) for name in TABLES} and (len(path) == 1 or path[2:] == ("fix", "steps"))


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(json_format.schema())


def test_every_property_is_described():
    def walk(node):
        if isinstance(node, dict):
            for name, child in node.get("properties", {}).items():
                assert "description" in child or "$ref" in child or "anyOf" in child, name
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(json_format.schema())


def test_closed_lists_are_those_of_the_model():
    defs = json_format.schema()["$defs"]
    assert defs["severity"]["enum"] == list(Severity)
    assert defs["finding"]["properties"]["outcome"]["enum"] == list(Outcome)
    assert defs["problem"]["properties"]["reason"]["enum"] == list(Reason)
    assert defs["subject"]["properties"]["type"]["enum"] == list(SCOPES)


def test_rendered_reports_are_valid(document):
    VALIDATOR.validate(document)


def test_a_key_that_is_missing_or_added_is_refused(document):
    tables = [path for path in places(document) if isinstance(at(document, path), dict)]
    tables = [path for path in tables if not free(path) and not by_id(path)]
    assert len(tables) > 40
    for path in tables:
        for key in at(document, path):
            broken = copy.deepcopy(document)
            del at(broken, path)[key]
            assert not VALIDATOR.is_valid(broken), (*path, key)
        broken = copy.deepcopy(document)
        at(broken, path)["surprise"] = 1
        assert not VALIDATOR.is_valid(broken), path


def test_a_value_of_another_kind_is_refused(document):
    for path in places(document):
        if not path or free(path):
            continue
        broken = copy.deepcopy(document)
        odd = at(document, path) is None or by_id(path)
        at(broken, path[:-1])[path[-1]] = b"never JSON" if odd else {"not": ["this"]}
        assert not VALIDATOR.is_valid(broken), path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "auditor/report/2"),
        (("run", "started_at"), "2026-11-20 10:00"),
        (("run", "ruleset_sha256"), "abc"),
        (("summary", "accounts"), -1),
        (("summary", "findings", "high"), 1.5),
        (("summary", "worst", "score", "low"), 100.1),
        (("accounts", 0, "score", "coverage"), 1.01),
        (("accounts", 0, "score", "grade"), "E"),
        (("accounts", 0, "score", "grade"), "F-"),
        (("accounts", 0, "findings", 0, "severity"), "severe"),
        (("accounts", 0, "findings", 0, "outcome"), "passed"),
        (("accounts", 0, "findings", 0, "outcome"), None),
        (("accounts", 0, "findings", 0, "baseline"), "old"),
        (("accounts", 0, "findings", 0, "id"), "0123456789abcdeg"),
        (("accounts", 0, "problems", 0, "reason"), "because"),
        (("accounts", 0, "paths"), [{"goal": "withdraw"}]),
    ],
)
def test_a_wrong_value_is_refused(document, path, value):
    broken = copy.deepcopy(document)
    at(broken, path[:-1])[path[-1]] = value
    assert not VALIDATOR.is_valid(broken)


def test_a_finding_and_a_path_are_one_line_and_no_string_is_touched():
    """Rows are most of a report: their fields on lines of their own are a quarter of it, and say nothing more."""
    odd = "a\n" + " " * 14 + "b\n" + " " * 12 + "}"
    one = bad_account()
    way = replace(one.paths[0], steps=(replace(one.paths[0].steps[0], text=odd),))
    text = json_format.render(report(replace(one, paths=(way,)))).decode()
    [shown] = json.loads(text)["accounts"][0]["paths"]
    assert shown["steps"][0]["text"] == odd
    step = [line.strip() for line in text.splitlines() if '"action":' in line]
    assert len(step) == 1
    assert json.loads(step[0].rstrip(",")) == shown
    assert sum('"outcome":' in line for line in text.splitlines()) == len(one.findings)
    assert max(len(line) - len(line.lstrip(" ")) for line in text.splitlines()) <= 8


def test_scores_carry_four_decimals(document):
    score = document["accounts"][0]["score"]
    assert (score["low"], score["high"], score["coverage"]) == (17.977, 61.44, 0.5812)
    assert document["summary"]["worst"]["score"] == score


def test_names_of_the_contract(document):
    assert list(document) == ["schema", "run", "summary", "part", "accounts", *TABLES, "problems"]
    assert list(document["summary"])[:4] == ["accounts", "worst", "findings", "coverage"]
    account = document["accounts"][0]
    assert {"goal", "status", "capability", "cost", "delay_hours", "steps", "closed_by"} < set(account["paths"][0])
    assert document["accounts"][1]["paths"] is None
    assert set(account) >= {"name", "exchange", "score", "findings", "inventory", "fixes", "questions", "problems"}
    assert {"id", "rule", "severity", "outcome", "subject", "message", "missing", "fix", "gain", "controls"} < set(
        account["findings"][0]
    )


@settings(max_examples=60)
@given(ANY_TEXT)
def test_any_label_comes_through(text):
    raw = json_format.render(report(hostile(text)))
    document = json.loads(raw)
    VALIDATOR.validate(document)
    kept = "".join("\ufffd" if unicodedata.category(char) == "Cs" else char for char in text)
    assert document["accounts"][0]["inventory"]["api_keys"][0]["label"] == kept
    assert document["accounts"][0]["findings"][0]["evidence"][0]["value"] == kept
    assert all(
        char == "\n" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in raw.decode()
    )


@pytest.mark.parametrize("char", ["a", "\x00", "\ud800", "\u202e", "\u65e5", "\U0001f4a9"])
def test_a_label_of_a_megabyte_does_not_break_it(char):
    account = bad_account()
    keys = ({**account.inventory.api_keys[0], "label": char * 2**20},)
    account = replace(account, inventory=replace(account.inventory, api_keys=keys))
    label = json.loads(json_format.render(report(account)))["accounts"][0]["inventory"]["api_keys"][0]["label"]
    assert len(label) == 2**20
    assert label == label[0] * 2**20
