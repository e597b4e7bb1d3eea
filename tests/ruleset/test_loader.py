"""Rule files: every fault class with its line, all of them at once, and the shape in agreement with the published schema."""

from __future__ import annotations

import copy
import json
import os
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.errors import InputError
from auditor.model.rule import Severity
from auditor.ruleset import loader, predicate, shape
from auditor.yamlio import Document

ID = "key-withdraw-without-ip-binding"
RULE = """\
id: key-withdraw-without-ip-binding
title: API key can withdraw and is not bound to an IP address
severity: critical
lifecycle: stable
since: "0.1"
applies_to: api_key
when: api_key.can_withdraw
require: api_key.ip_bound
message: "Key {api_key.label} of {account.name} can withdraw from any address on the internet"
why: Whoever copies the secret empties the account.
how_we_know: The venue shows the permissions of the key that asks.
fix:
  effort: low
  text: Bind the key to the addresses it is used from.
  steps: {okx: ["Open the page of the key"], default: ["Edit the key", "Enter the address"]}
controls: [owasp-nhi/NHI5]
incidents: [INC-2024-okx-sms-api]
aliases: [KEY-02]
references: ["https://example.org/page?x=1#y"]
cases:
  - {name: bound, api_keys: [{can_withdraw: true, ip_bound: true}], expect: pass}
  - {name: unbound, api_keys: [{can_withdraw: true, ip_bound: false, created_at: 2025-01-03T00:00:00Z}], expect: fail}
  - name: nobody knows
    account: {name: sample, exchange: okx, login_weakest_factor: sms}
    venue: {lifecycle: active}
    api_keys: [{can_withdraw: true, ip_bound: null}]
    addresses: []
    events: null
    sources: {api_keys: {by: api, ref: "GET /x"}, account.kyc_level: {by: attest, at: 2026-11-01, expires: 2027-02-01}}
    now: 2026-11-20T10:00:00Z
    expect: unknown
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rules"
    made.mkdir()
    return made


def write(folder: Path, text: str = RULE, name: str = f"{ID}.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str, text: str = RULE) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_a_good_rule_becomes_a_value(folder: Path) -> None:
    path = write(folder)
    [rule] = loader.load(folder)
    assert loader.check(path) == loader.check(folder) == []
    assert (rule.id, rule.severity, rule.applies_to, rule.file) == (ID, Severity.CRITICAL, "api_key", str(path))
    assert rule.when == predicate.check("api_key.can_withdraw", applies_to="api_key")
    assert rule.facts == ("api_key.can_withdraw", "api_key.ip_bound")
    assert rule.fix.steps == {"okx": ("Open the page of the key",), "default": ("Edit the key", "Enter the address")}
    assert rule.fix.remedy is None
    assert [case["expect"] for case in rule.cases] == ["pass", "fail", "unknown"]
    assert rule.references == ("https://example.org/page?x=1#y",)


def test_what_may_be_left_out(folder: Path) -> None:
    text = changed("when: api_key.can_withdraw\n", "")
    for name in ("controls", "incidents", "aliases", "references"):
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(name))
    text = changed(
        '  steps: {okx: ["Open the page of the key"], default: ["Edit the key", "Enter the address"]}\n', "", text
    )
    write(folder, text)
    [rule] = loader.load(folder)
    assert rule.when is None
    assert rule.controls == rule.references == ()
    assert rule.fix.steps == {}


FAULTS = [
    # (what to replace, with what, line, message, hint)
    ("severity: critical", "severity: critcal", 3, "severity: expected one of critical, high, medium, low, info: did you mean critical?", None),
    ("severity: critical", "severity: [critical]", 3, "severity: expected one of", None),
    ("severity: critical", "severity:", 3, "severity: expected one of", None),
    ("severity: critical\n", "", 1, "severity is missing", "How bad"),
    ("severity: critical", "severty: critical", 3, "unknown key severty: did you mean severity?", "known here"),
    ("lifecycle: stable", "lifecycle: test", 4, "lifecycle: expected one of experimental", None),
    ('since: "0.1"', "since: 0.1", 5, "since: expected text (put it in quotes)", None),
    ('since: "0.1"', 'since: "soon"', 5, "since is not in the expected form", "in quotes"),
    ('since: "0.1"', 'since: "0.1\\n"', 5, "since is not in the expected form", None),
    ("applies_to: api_key", "applies_to: apikey", 6, "did you mean api_key?", None),
    ("title: API", "title: Ensure that API", 2, "title is not in the expected form", "Ensure"),
    ("title: API key", 'title: "API\\u202e key"', 2, "cannot be parsed", None),
    ("title: API key can withdraw and is not bound to an IP address", 'title: "API \\u202e key"', 2, "title is not in", None),
    ("title: API key can withdraw and is not bound to an IP address", 'title: "API \\x1b[31m"', 2, "title is not in", None),
    ("title: API key can", f"title: {'x' * 150} can", 2, "title is longer than 150 characters", None),
    ("title: API key can withdraw and is not bound to an IP address", "title: ' '", 2, "title is empty", None),
    ("when: api_key.can_withdraw", "when: api_key.can_withdrw", 7, "when: unknown fact api_key.can_withdrw: did you mean api_key.can_withdraw?", None),
    ("when: api_key.can_withdraw", "when: true", 7, "when: expected text", None),
    ("when: api_key.can_withdraw", "when:", 7, "when: expected text", None),
    ("when: api_key.can_withdraw", "when: ''", 7, "when is empty", None),
    ("require: api_key.ip_bound", "require: api_key.ip_bound IS NULL", 8, "require: IS is not part of the language", "unknown stays unknown"),
    ("require: api_key.ip_bound", "require: |\n  api_key.ip_bound\n  AND address.state = 'x'", 8, "cannot be read in a rule about api_key", "account.*"),
    ("require: api_key.ip_bound", f"require: {'(' * 4100}", 8, "longer than 4000", None),
    ("{api_key.label}", "{api_key.lable}", 9, "message: unknown fact api_key.lable: did you mean api_key.label?", None),
    ("{api_key.label}", "{address.label}", 9, "message: address.label cannot be read", None),
    ("{api_key.label}", "{api_key.permissions}", 9, "message: api_key.permissions is a list", None),
    ("{api_key.label}", "{api_key.label!r}", 9, "message: unknown fact", None),
    ("{api_key.label}", "{api_key.label.__class__}", 9, "message: unknown fact", None),
    ("{api_key.label}", "{}", 9, "message: unknown fact", None),
    ("{api_key.label}", "{{api_key.label}}", 9, "message: a brace is alone", "{api_key.label}"),
    ("{api_key.label}", "{api_key.label", 9, "message: a brace is alone", None),
    ("why: Whoever", "why: ''\nwho: Whoever", 10, "why is empty", None),
    ("why: Whoever copies the secret empties the account.", "why: 7", 10, "why: expected text", None),
    ("  effort: low", "  effort: none", 13, "fix.effort: expected one of low, medium, high", None),
    ("  effort: low\n", "", 13, "fix.effort is missing", None),
    ("  effort: low", "  effort: low\n  remedy: Bind-Key", 14, "fix.remedy is not in the expected form", None),
    ("  effort: low", "  effort: low\n  step: x", 14, "unknown key fix.step: did you mean steps?", None),
    ('okx: ["Open the page of the key"]', "okx: Open", 15, "fix.steps.okx: expected a list", None),
    ('okx: ["Open the page of the key"]', "okx: []", 15, "fix.steps.okx is empty", None),
    ('okx: ["Open the page of the key"]', "okx: [1]", 15, "fix.steps.okx[0]: expected text", None),
    ('okx: ["Open the page of the key"]', 'Okx: ["Open"]', 15, "fix.steps.Okx is not in the expected form", None),
    ("controls: [owasp-nhi/NHI5]", "controls: owasp-nhi/NHI5", 16, "controls: expected a list", None),
    ("incidents: [INC-2024-okx-sms-api]", "incidents: ['']", 17, "incidents[0] is empty", None),
    ("https://example.org/page", "http://example.org/page", 19, "references[0] is not in the expected form", "https://"),
    ("https://example.org/page", "https://user:pw@example.org/page", 19, "references[0] is not in the expected form", None),
    ("expect: pass", "expect: passed", 21, "cases[0].expect: expected one of", None),
    ("expect: pass", "expect: not_applicable", 21, "cases: no case has expect: pass", None),
    ("expect: fail", "expect: unknown", 21, "cases: no case has expect: fail", None),
    ("    expect: unknown", "    expect: pass", 21, "cases: no case has expect: unknown", None),
    ("name: bound", "name: 1", 21, "cases[0].name: expected text", None),
    ("name: bound", "nam: bound", 21, "unknown key cases[0].nam: did you mean name?", None),
    ("name: bound, api_keys", "name: bound, api_key", 21, "unknown key cases[0].api_key: did you mean api_keys?", None),
    ("api_keys: [{can_withdraw: true, ip_bound: true}]", "api_keys: {ip_bound: true}", 21, "cases[0].api_keys: expected a list or null", None),
    ("api_keys: [{can_withdraw: true, ip_bound: true}]", "api_keys: [1]", 21, "cases[0].api_keys[0]: expected a mapping", None),
    ("ip_bound: false", "ip_bound: no", 22, "cases[1].api_keys[0].ip_bound: expected true or false", None),
    ("ip_bound: false", "ip_bond: false", 22, "unknown fact api_key.ip_bond: did you mean api_key.ip_bound?", "in cases[1].api_keys[0]"),
    ("created_at: 2025-01-03T00:00:00Z", "created_at: yesterday", 22, "cases[1].api_keys[0].created_at: expected a time", None),
    ("created_at: 2025-01-03T00:00:00Z", "created_at: 1999-01-03", 22, "cases[1].api_keys[0].created_at: expected a time", None),
    ("login_weakest_factor: sms", "login_weakest_factor: smss", 24, "did you mean sms?", "weakest second factor"),
    ("account: {name: sample,", "account: {name: 5,", 24, "cases[2].account.name: expected text", None),
    ("exchange: okx", "exchange: [okx]", 24, "cases[2].account.exchange: expected text", None),
    ("venue: {lifecycle: active}", "venue: [active]", 25, "cases[2].venue: expected a mapping", None),
    ("venue: {lifecycle: active}", "venue: {exchange: okx}", 25, "unknown fact venue.exchange", None),
    ("sources: {api_keys: ", "sources: {api_keyz: ", 29, "unknown fact api_keyz: did you mean api_keys?", "a source belongs"),
    ("by: api,", "by: hearsay,", 29, "expected one of api, attest", None),
    ("at: 2026-11-01", "at: last week", 29, "is not a time between 2009 and 2100", None),
    ("expires: 2027-02-01", "expires: 2027-02-31", 29, "is not a time between 2009 and 2100", None),
    ("now: 2026-11-20T10:00:00Z", "now: today", 30, "cases[2].now is not a time", None),
    ("now: 2026-11-20T10:00:00Z", "now: 5", 30, "cases[2].now: expected text", None),
    ("id: key-withdraw", "id: Key-withdraw", 1, "id is not in the expected form", "lower-case"),
    ("id: key-withdraw", "id: key--withdraw", 1, "id is not in the expected form", None),
    ("id: key-withdraw-", "id: key-withdrawing-", 1, "is not the name of the file", "rename the file"),
    ("severity: critical", "severity: critical\nseverity: high", 4, "stands twice", None),
    ("severity: critical", "severity: &x critical", 3, "anchors and aliases", None),
    ("severity: critical", "severity: !!python/object:os.system x", 3, "tags are not read here", None),
    ("severity: critical", "severity: [" * 60, 3, "is nested deeper", None),
    ("severity: critical", "severity: 'critical", None, "cannot be parsed", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "hint"), FAULTS, ids=[f"{row[3]}-{index}" for index, row in enumerate(FAULTS)]
)
def test_a_fault_names_its_line_and_what_to_do(
    folder: Path, old: str, new: str, line: int | None, message: str, hint: str | None,
) -> None:  # fmt: skip
    path = write(folder, changed(old, new))
    found = loader.check(path)
    assert found == loader.check(folder)
    meant = [fault for fault in found if message in fault.message]
    assert meant, found
    assert line is None or meant[0].line == line, meant
    assert meant[0].file == str(path)
    assert (hint or "") in (meant[0].hint or "")
    with pytest.raises(InputError) as refused:
        loader.load(folder)
    assert refused.value.faults == tuple(found)


def test_all_faults_of_all_files_come_at_once(folder: Path, tmp_path: Path) -> None:
    text = changed("severity: critical", "severity: urgent")
    text = changed("when: api_key.can_withdraw", "when: api_key.can_withdrw", text)
    text = changed("require: api_key.ip_bound", "require: coalesce(api_key.ip_bound, TRUE)", text)
    text = changed("{api_key.label}", "{api_key.lable}", text)
    text = changed("ip_bound: false", "ip_bound: maybe", text)
    write(folder, changed("effort: low", "effort: tiny", text))
    write(folder, "", "empty.yaml")
    write(folder, RULE, "old.yml")
    (folder / "binary.yaml").write_bytes(b"id: \xff\xfe")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(InputError) as refused:
        loader.load_all([folder, other, tmp_path / "nowhere"], shipped=False)
    faults = {(Path(fault.file).name, fault.line) for fault in refused.value.faults}
    rule = f"{ID}.yaml"
    assert {(rule, 3), (rule, 7), (rule, 8), (rule, 9), (rule, 13), (rule, 22)} <= faults
    assert {("empty.yaml", 0), ("old.yml", 0), ("binary.yaml", 1), ("other", 0), ("nowhere", 0)} <= faults
    assert len(refused.value.faults) == 11


@pytest.mark.parametrize(
    "text", ["- 1\n", "5\n", "text\n", "[]\n", "null\n", "{}\n", "--- 1\n--- 2\n", "\x00", "# only\n"]
)
def test_documents_that_are_no_rule(folder: Path, text: str) -> None:
    path = write(folder, text)
    assert loader.check(path)
    with pytest.raises(InputError):
        loader.load(folder)


def test_what_is_no_readable_file_is_a_fault_and_never_hangs(folder: Path) -> None:
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    (folder / "dangling.yaml").symlink_to(folder / "nowhere")
    (folder / "loop.yaml").symlink_to(folder / "loop.yaml")
    (folder / "huge.yaml").write_bytes(b"# " + b"x" * 2**20)
    (folder / "UPPER.YAML").write_text(RULE)
    (folder / "README.md").write_text("not a rule")
    messages = {Path(fault.file).name: fault.message for fault in loader.check(folder)}
    assert messages.keys() == {"folder.yaml", "pipe.yaml", "dangling.yaml", "loop.yaml", "huge.yaml", "UPPER.YAML"}
    assert messages["pipe.yaml"] == messages["folder.yaml"] == "is not a file"
    assert "too large" in messages["huge.yaml"]
    assert "not named *.yaml" in messages["UPPER.YAML"]


def test_folders_below_are_not_read_and_a_linked_file_is(folder: Path, tmp_path: Path) -> None:
    (folder / "below").mkdir()
    write(folder / "below", "broken: [")
    elsewhere = write(tmp_path, RULE, "elsewhere.yaml")
    (folder / f"{ID}.yaml").symlink_to(elsewhere)
    assert [rule.id for rule in loader.load(folder)] == [ID]


@pytest.mark.parametrize("missing", ["nowhere", "nowhere.yaml", "file.txt"])
def test_a_path_without_rules_is_a_fault(tmp_path: Path, missing: str) -> None:
    (tmp_path / "file.txt").write_text(RULE)
    [fault] = loader.check(tmp_path / missing)
    assert fault.line == 0
    assert fault.message.startswith("is not named *.yaml" if missing == "file.txt" else "cannot be read")
    with pytest.raises(InputError):
        loader.load(tmp_path / missing)


def test_an_id_taken_twice_names_both_files(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    first, second = write(folder), write(other, "# a comment\n" + RULE)
    with pytest.raises(InputError) as refused:
        loader.load_all([folder, other], shipped=False)
    [fault] = refused.value.faults
    assert (fault.file, fault.line) == (str(second), 2)
    assert str(first) in fault.message


def test_a_folder_named_twice_is_read_once(folder: Path, tmp_path: Path) -> None:
    write(folder)
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert len(loader.load_all([folder, folder / ".." / "rules", link], shipped=False)) == 1


def test_only_shipped_rules_need_a_family(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, changed(f"id: {ID}", "id: mine-own"), "mine-own.yaml")
    assert [rule.id for rule in loader.load(folder)] == ["mine-own"]
    monkeypatch.setattr(loader, "shipped_folder", lambda: folder)
    [fault] = loader.check(folder)
    assert (fault.line, fault.message) == (1, "the id begins with no known family")
    assert "withdrawal" in str(fault.hint)
    with pytest.raises(InputError):
        loader.load_all([], shipped=True)


def test_rules_about_evidence_weigh_nothing(folder: Path) -> None:
    text = changed(f"id: {ID}", "id: evidence-missing")
    path = write(folder, text, "evidence-missing.yaml")
    [fault] = loader.check(path)
    assert fault.line == 3
    assert "info" in fault.message
    write(folder, changed("severity: critical", "severity: info", text), path.name)
    assert loader.check(path) == []


def test_shipped_rules_stand_beside_the_users(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    write(shipped, changed(f"id: {ID}", "id: key-other"), "key-other.yaml")
    write(folder)
    monkeypatch.setattr(loader, "shipped_folder", lambda: shipped)
    assert [rule.id for rule in loader.load_all([folder], shipped=True)] == ["key-other", ID]
    assert [rule.id for rule in loader.load_all([folder], shipped=False)] == [ID]
    assert [rule.id for rule in loader.load_all([shipped], shipped=True)] == ["key-other"]


def test_the_shipped_folder_exists() -> None:
    assert loader.shipped_folder().is_dir()
    assert loader.shipped_folder().name == "rules"


def test_the_shipped_rules_load() -> None:
    assert loader.check(loader.shipped_folder()) == []
    assert loader.load_all([], shipped=True) == loader.load(loader.shipped_folder())


def test_the_digest_says_what_decides_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    write(folder)
    write(folder, changed(f"id: {ID}", "id: key-other"), "key-other.yaml")
    rules = loader.load(folder)
    digest = loader.digest(rules)
    assert len(digest) == 64
    assert loader.digest(reversed(rules)) == digest
    assert loader.digest(rules[:1]) != digest
    same = {
        "title: API": "title: Some API",
        "require: api_key": "require:  (api_key",
        "ip_bound\nmess": "ip_bound )\nmess",
    }
    other = {
        "severity: critical": "severity: high",
        "when: api_key.can_withdraw": "when: NOT api_key.can_withdraw",
        "require: api_key.ip_bound": "require: api_key.ip_bound OR api_key.enabled",
    }
    again = tmp_path / "again"
    again.mkdir()
    write(again, changed(f"id: {ID}", "id: key-other"), "key-other.yaml")
    text = RULE
    for old, new in same.items():
        text = changed(old, new, text)
    write(again, text)
    assert loader.digest(loader.load(again)) == digest
    for old, new in other.items():
        write(again, changed(old, new))
        assert loader.digest(loader.load(again)) != digest


def test_the_digest_knows_whom_a_rule_is_about(folder: Path) -> None:
    text = changed("when: api_key.can_withdraw\n", "")
    text = changed("api_key.ip_bound\n", "account.settings_lock\n", changed("{api_key.label}", "A key", text))
    write(folder, text)
    digest = loader.digest(loader.load(folder))
    write(folder, changed("applies_to: api_key", "applies_to: account", text))
    assert loader.digest(loader.load(folder)) != digest


def test_forty_rules_load_in_a_moment(folder: Path) -> None:
    import sqlglot  # noqa: F401  (its import is paid once by the program, and is not what is measured)

    for number in range(40):
        write(folder, changed(f"id: {ID}", f"id: key-{number}"), f"key-{number}.yaml")
    loader.load(folder)
    fastest = min(_seconds(folder) for _ in range(5))
    assert fastest < 0.25


def _seconds(folder: Path) -> float:
    begun = time.perf_counter()
    assert len(loader.load(folder)) == 40
    return time.perf_counter() - begun


# ---- the hand-made reader of the schema agrees with the library that reads all of JSON Schema


def document() -> dict[str, Any]:
    from auditor import yamlio

    [read] = yamlio.parse_all(RULE, "rule.yaml")
    value: dict[str, Any] = read.value
    value["fix"]["remedy"] = "bind_key"
    return value


_VALIDATOR = jsonschema.Draft202012Validator(shape.schema())
_READ = {
    "$schema", "$id", "$defs", "$ref", "title", "description", "type", "properties", "required", "additionalProperties",
    "propertyNames", "enum", "pattern", "maxLength", "items", "minItems", "allOf",
}  # fmt: skip


def agree(value: Any) -> bool:
    ours = not list(shape.faults(Document(file="x.yaml", value=value, lines={})))
    assert ours == _VALIDATOR.is_valid(value), (ours, list(_VALIDATOR.iter_errors(value)))
    return ours


def test_the_schema_is_a_schema_and_the_good_rule_fits() -> None:
    jsonschema.Draft202012Validator.check_schema(shape.schema())
    assert agree(document())


def test_the_schema_uses_nothing_the_reader_skips() -> None:
    def keywords(node: Any, *, names: bool = False) -> set[str]:
        if not isinstance(node, dict):
            return set()
        found = set() if names else set(node)
        for key, inner in node.items():
            if names or key in {"properties", "$defs"}:
                found |= keywords(inner, names=not names and key in {"properties", "$defs"})
            elif key in {"items", "additionalProperties", "propertyNames"}:
                found |= keywords(inner)
        return found

    assert keywords(shape.schema()) <= _READ
    described = [node for node in shape.schema()["properties"].values() if "description" not in node]
    assert not described


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


_PLACES = places(document())
_HOSTILE = [
    None, True, 0, 1.5, "", " ", "\n", "x", "pass", "fail", "unknown", "Ensure x", "Ensured x", "a" * 151, "a" * 4001, "0.1",
    "0.1\n", "1", "https://x", "https://x\n", "http://x", "key-x", "key-x\n", "a\x1b[0m", "a\u202e", "\ud800", "😀", "{", [], ["x"],
    [1], {}, {"x": 1}, {"x": ["y"]}, {"X": ["y"]}, {"default": []}, [{}], [None], {"by": "api"}, {"api_keys": {"by": "api"}},
]  # fmt: skip


def altered(place: tuple[Any, ...], value: Any) -> Any:
    whole = document()
    if not place:
        return value
    around = whole
    for step in place[:-1]:
        around = around[step]
    around[place[-1]] = copy.deepcopy(value)
    return whole


@pytest.mark.parametrize("value", _HOSTILE, ids=lambda value: ascii(value)[:30])
def test_shape_and_schema_agree_on_any_value_anywhere(value: Any) -> None:
    for place in _PLACES:
        agree(altered(place, value))


def test_shape_and_schema_agree_on_missing_and_unknown_keys() -> None:
    verdicts = set()
    for place in _PLACES:
        whole = document()
        around: Any = whole
        for step in place[:-1]:
            around = around[step]
        if place and isinstance(around, (dict, list)):
            del around[place[-1]]
            verdicts.add(agree(whole))
        inner: Any = document()
        target = inner
        for step in place:
            target = target[step]
        if isinstance(target, dict):
            target["surprise"] = "x"
            verdicts.add(agree(inner))
    assert verdicts == {True, False}


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=8), st.sampled_from(_HOSTILE)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["expect", "name", "by", "default", "text", "x"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_PLACES), _json, st.sampled_from(_PLACES), _json)
def test_shape_and_schema_agree_on_two_changes(
    one: tuple[Any, ...], this: Any, two: tuple[Any, ...], that: Any
) -> None:
    agree(altered(one, this))
    agree(altered(two, that))


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(_PLACES), value=_json)
def test_a_file_with_anything_in_it_gives_faults_or_a_rule(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{ID}.yaml"
    path.write_text(json.dumps(altered(place, value)))
    for fault in loader.check(path):
        assert fault.message
        assert fault.line >= 0
        assert not set(fault.message) & set("\x1b\x00\u202e\n"), fault


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_give_faults_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_bytes(raw)
    assert loader.check(path)
