"""Evidence that is broken or means harm: one clear error with file and line, whatever the format, and nothing else."""

from __future__ import annotations

import contextlib
import gzip
import os
import resource
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor import census
from auditor.engine import files
from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.errors import Fault, InputError

from .invented import NOW, document, rule

HEAD = '"schema":"auditor/evidence/1","account":{"name":"a","exchange":"okx"%s}%s'
GOOD = "{" + HEAD % ("", "") + "}"


def line(account: str = "", top: str = "") -> str:
    """A document as text, with more in its account and beside it."""
    return "{" + HEAD % (account and f",{account}", top and f",{top}") + "}"


def read(path: Path) -> list[dict[str, Any]]:
    """What the trusted file holds in the end."""
    with Evidence(NOW).add_files([path]) as evidence:
        return list(evidence.documents())


def faults(path: Path) -> tuple[Fault, ...]:
    with Evidence(NOW) as evidence, pytest.raises(InputError) as caught:
        evidence.add_files([path])
    assert caught.value.exit_code == 2
    assert 1 <= len(caught.value.faults) <= 50
    assert all(fault.file == str(path) and len(str(fault)) < 1000 for fault in caught.value.faults)
    assert not os.path.lexists(evidence.folder)
    return caught.value.faults


@pytest.fixture
def made(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def make(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        return path

    return make


Made = Callable[[str, "str | bytes"], Path]

_DEEP = "[" * 100_000
_WRONG = {
    "truncated": '{"schema":"auditor/evidence/1","account":{"name":"a"',
    "binary": b"\x00\xff\xfe\x80PK\x03\x04",
    "not utf-8": b'{"schema":"auditor/evidence/1","account":{"name":"\xff","exchange":"okx"}}',
    "utf-16": GOOD.encode("utf-16"),
    "gzip": gzip.compress(GOOD.encode()),
    "nul": "\x00" * 100,
    "deep": line('"enrolled_factors":' + _DEEP + "]" * 100_000),
    "deep and open": line('"enrolled_factors":' + _DEEP),
    "deep where text is due": line('"parent":' + "[" * 700 + "]" * 700),
    "deep where a choice is due": line('"kind":' + "[" * 700 + "]" * 700),
    "a number": "1",
    "a text": '"auditor/evidence/1"',
    "null": "null",
    "another schema": '{"schema":"auditor/evidence/2"}',
    "no account": '{"schema":"auditor/evidence/1"}',
    "account null": '{"schema":"auditor/evidence/1","account":null}',
    "account a list": '{"schema":"auditor/evidence/1","account":[]}',
    "name empty": '{"schema":"auditor/evidence/1","account":{"name":"","exchange":"okx"}}',
    "name a number": '{"schema":"auditor/evidence/1","account":{"name":1,"exchange":"okx"}}',
    "exchange missing": '{"schema":"auditor/evidence/1","account":{"name":"a"}}',
    "unknown key": line(top='"api_key":[]'),
    "unknown key in another case": line(top='"API_KEYS":[]'),
    "unknown fact": line('"two_factor_enable":true'),
    "unknown fact in another case": line('"Two_factor_enabled":true'),
    "the mark of the engine": line(top='"unknown":["account.kind"]'),
    "the mark in a row": line(top='"api_keys":[{"unknown":["enabled"]}]'),
    "key twice": line('"kyc_level":1,"kyc_level":2'),
    "key twice, once null": line('"settings_lock":true,"settings_lock":null'),
    "key twice in a row": line(top='"api_keys":[{"can_withdraw":false,"can_withdraw":true}]'),
    "key twice at the top": line(top='"api_keys":[],"api_keys":[{"can_withdraw":true}]'),
    "account twice": '{"account":{"name":"b","exchange":"okx"},' + HEAD % ("", "") + "}",
    "key twice in disguise": line(top='"api_keys":[{"label":"\\u0022\\u0022","can_read":true,"can_read":false}]'),
    "key twice, spelled twice": line(top='"api_keys":[{"can_read":true,"can_\\u0072ead":false}]'),
    "source twice": line(top='"sources":{"api_keys":{"by":"api"},"api_keys":{"by":"attest"}}'),
    "NaN": line('"balance_usd":NaN'),
    "Infinity": line('"balance_usd":-Infinity'),
    "too large a number": line('"balance_usd":1e999'),
    "10,000 digits": line('"balance_usd":' + "9" * 10_000),
    "10,000 digits of a whole number": line('"kyc_level":' + "9" * 10_000),
    "huge whole number": line('"kyc_level":9007199254740993'),
    "whole number with a fraction": line('"kyc_level":1.7'),
    "whole number as float": line('"kyc_level":1.0'),
    "bool as text": line('"settings_lock":"yes"'),
    "bool as number": line('"settings_lock":1'),
    "bool as 2": line('"settings_lock":2'),
    "bool as a list": line('"settings_lock":[true]'),
    "number as text": line('"balance_usd":"12"'),
    "number as bool": line('"balance_usd":true'),
    "text as number": line('"parent":12'),
    "text as table": line('"parent":{"a":1}'),
    "enum in another case": line('"kind":"Main"'),
    "enum as number": line('"kind":0'),
    "set with a stranger": line('"enrolled_factors":["sms","pigeon"]'),
    "set with null": line('"enrolled_factors":["sms",null]'),
    "set as text": line('"enrolled_factors":"sms"'),
    "list of numbers": line(top='"api_keys":[{"permissions":[1]}]'),
    "list of null": line(top='"api_keys":[null]'),
    "list of lists": line(top='"api_keys":[[]]'),
    "list as table": line(top='"api_keys":{}'),
    "list as false": line(top='"api_keys":false'),
    "time as number": line('"created_at":1700000000'),
    "time of five digits": line('"created_at":"12026-01-01T00:00:00Z"'),
    "time of the year 1": line('"created_at":"0001-01-01T00:00:00Z"'),
    "time before 2009": line('"created_at":"2008-12-31T23:59:59Z"'),
    "time before 2009 by its offset": line('"created_at":"2009-01-01T00:00:00+00:01"'),
    "time after 2100": line('"created_at":"2100-01-01T00:00:01Z"'),
    "time after 2100 by its offset": line('"created_at":"2099-12-31T23:59:59-23:59"'),
    "leap second": line('"created_at":"2016-12-31T23:59:60Z"'),
    "30 February": line('"created_at":"2025-02-30T00:00:00Z"'),
    "time without minutes": line('"created_at":"2025-02-03T00Z"'),
    "time without offset": line('"created_at":"2025-02-03T00:00:00"'),
    "collected without offset": line(top='"collected_at":"2025-02-03T00:00:00"'),
    "offset without colon": line('"created_at":"2025-02-03T00:00:00+0100"'),
    "time in words": line('"created_at":"now"'),
    "empty time": line('"created_at":""'),
    "Arabic digits": line('"created_at":"٢٠٢٥-01-01T00:00:00Z"'),
    "collected in the year 1": line(top='"collected_at":"0001-01-01T00:00:00Z"'),
    "collected at a number": line(top='"collected_at":1700000000'),
    "venue a list": line(top='"venue":[]'),
    "venue fact of wrong type": line(top='"venue":{"hold_covers_p2p":"no"}'),
    "sources a list": line(top='"sources":[]'),
    "source a text": line(top='"sources":{"api_keys":"api"}'),
    "source of nothing": line(top='"sources":{"api_key.can_fly":{"by":"api"}}'),
    "source by a stranger": line(top='"sources":{"api_keys":{"by":"hearsay"}}'),
    "source by a list": line(top='"sources":{"api_keys":{"by":["api"]}}'),
    "source with a wrong day": line(top='"sources":{"api_keys":{"by":"attest","at":"yesterday"}}'),
    "source that expires in 2150": line(top='"sources":{"api_keys":{"by":"attest","expires":"2150-01-01"}}'),
    "source with a number": line(top='"sources":{"api_keys":{"by":"api","ref":7}}'),
    "source with a stranger": line(top='"sources":{"api_keys":{"by":"api","who":"me"}}'),
    "problems a table": line(top='"problems":{}'),
    "problem a text": line(top='"problems":["timeout"]'),
    "problem without reason": line(top='"problems":[{"endpoint":"x"}]'),
    "problem of a strange reason": line(top='"problems":[{"endpoint":"x","reason":"aliens"}]'),
    "problem of a list of reasons": line(top='"problems":[{"endpoint":"x","reason":["timeout"]}]'),
    "problem of a table": line(top='"problems":[{"endpoint":"x","reason":{"a":1}}]'),
    "problem without endpoint": line(top='"problems":[{"reason":"timeout"}]'),
    "problem with facts as text": line(top='"problems":[{"endpoint":"x","reason":"timeout","facts":"api_keys"}]'),
    "problem with facts as 0": line(top='"problems":[{"endpoint":"x","reason":"timeout","facts":0}]'),
    "problem with detail as false": line(top='"problems":[{"endpoint":"x","reason":"timeout","detail":false}]'),
    "problem with a stranger": line(top='"problems":[{"endpoint":"x","reason":"timeout","when":"now"}]'),
    "a list of documents in a line": f"[{GOOD}]",
    "two documents in a line": GOOD + GOOD,
    "trailing comma": GOOD[:-1] + ",}",
    "comment": "// evidence\n",
    "single quotes": GOOD.replace('"', "'"),
}


@pytest.mark.parametrize("text", _WRONG.values(), ids=_WRONG)
def test_a_bad_line_is_refused_with_its_number(made: Made, text: str | bytes) -> None:
    bad = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    found = faults(made("e.jsonl", GOOD.encode() + b"\n" + bad + b"\n" + GOOD.encode()))
    assert {fault.line for fault in found} <= set(range(2, 3 + bad.count(b"\n")))
    assert found[0].line == 2
    assert found[0].message


_FINE_ELSEWHERE = {"a list of documents in a line", "comment", "deep and open"}


@pytest.mark.parametrize("name", [name for name in _WRONG if name not in _FINE_ELSEWHERE])
@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
def test_a_bad_document_is_refused_in_every_format(made: Made, name: str, suffix: str) -> None:
    if suffix in {"yaml", "yml"} and name in {
        "trailing comma",
        "single quotes",
        "NaN",
        "Infinity",
        "two documents in a line",
        "utf-16",
    }:
        _still_no_traceback(made(f"e.{suffix}", _WRONG[name]))
    else:
        faults(made(f"e.{suffix}", _WRONG[name]))


def _still_no_traceback(path: Path) -> None:
    """What YAML reads in its own way is either well-formed or refused."""
    with Evidence(NOW) as evidence, contextlib.suppress(InputError):
        assert len(evidence.add_files([path])) > 0


@pytest.mark.parametrize("suffix", ["json", "yaml", "jsonl", "parquet"])
@pytest.mark.parametrize("text", [b"", b"\n\n", b"\xef\xbb\xbf", b"   "])
def test_an_empty_file_is_refused(made: Made, suffix: str, text: bytes) -> None:
    faults(made(f"e.{suffix}", text))


@pytest.mark.parametrize("text", ["[]", "---\n[]\n"])
def test_an_empty_list_is_no_evidence(made: Made, text: str) -> None:
    [fault] = faults(made("e.yaml", text))
    assert "no evidence document" in fault.message


def test_an_empty_file_beside_a_good_one_is_refused_all_the_same(made: Made) -> None:
    good, empty = made("good.jsonl", GOOD), made("empty.jsonl", "")
    with Evidence(NOW) as evidence, pytest.raises(InputError) as caught:
        evidence.add_files([good, empty])
    assert [fault.file for fault in caught.value.faults] == [str(empty)]


_HARM = {
    "tag": "!!python/object/apply:os.system ['true']",
    "own tag": "schema: !x auditor/evidence/1",
    "alias": "a: &a [1]\nb: *a",
    "laughs": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]",
    "merge": "a: &a {x: 1}\nb:\n  <<: *a",
    "key twice": "schema: auditor/evidence/1\naccount: {name: a, exchange: okx, kyc_level: 1, kyc_level: 2}",
    "yes": "schema: auditor/evidence/1\naccount: {name: a, exchange: okx, settings_lock: yes}",
    "octal": "schema: auditor/evidence/1\naccount: {name: a, exchange: okx, kyc_level: 017}",
    "base 60": "schema: auditor/evidence/1\naccount: {name: a, exchange: okx, kyc_level: 1:30}",
    "tab": "schema:\tauditor/evidence/1\n\taccount: {}",
    "key a list": "? [a]\n: 1",
}


@pytest.mark.parametrize("text", _HARM.values(), ids=_HARM)
def test_what_yaml_could_do_it_does_not(made: Made, text: str) -> None:
    assert all(fault.line >= 1 for fault in faults(made("e.yaml", text)))


def test_a_fault_of_a_yaml_document_stands_on_its_own_line(made: Made) -> None:
    text = "schema: auditor/evidence/1\naccount:\n  name: a\n  exchange: okx\napi_keys:\n  - {label: x}\n  - label: y\n    can_trade: 2\n"
    [fault] = faults(made("e.yaml", text))
    assert (fault.line, fault.message) == (8, "api_key.can_trade: expected true or false")


def test_each_document_of_a_list_has_lines_of_its_own(made: Made) -> None:
    one = "- schema: auditor/evidence/1\n  account: {name: a, exchange: okx}\n"
    wrong = "- schema: auditor/evidence/1\n  account: {name: a, exchange: okx}\n  api_keys: [{can_tade: true}]\n"
    found = faults(made("e.yaml", one + wrong + one + wrong))
    assert [fault.line for fault in found] == [5, 10]
    assert "api_key.can_trade" in found[0].message


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.json", "missing.parquet", "missing.yaml"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    assert "cannot be read" in faults(tmp_path / name)[0].message


@pytest.mark.parametrize("suffix", ["jsonl", "json", "yaml", "parquet"])
def test_a_folder_and_a_pipe_are_not_opened(tmp_path: Path, suffix: str) -> None:
    folder, pipe = tmp_path / f"folder.{suffix}", tmp_path / f"pipe.{suffix}"
    folder.mkdir()
    os.mkfifo(pipe)
    assert "is not a file" in faults(folder)[0].message
    assert "is not a file" in faults(pipe)[0].message


@pytest.mark.parametrize("suffix", ["jsonl", "json", "yaml", "parquet"])
def test_a_file_that_may_not_be_read(made: Made, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(f"e.{suffix}", GOOD)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything: refuse in its place
        refuse = lambda *_a, **_k: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(os, "access", lambda *_: False)
        with Evidence(NOW) as evidence, pytest.raises(InputError):
            evidence._add_file(path)
    else:
        assert "cannot be read" in faults(path)[0].message


@pytest.mark.parametrize("name", ["e.jsonl.gz", "e.csv", "e", "e.json.txt"])
def test_another_suffix_is_named(made: Made, name: str) -> None:
    [fault] = faults(made(name, GOOD))
    assert "suffix" in fault.message
    assert fault.hint is not None and ".jsonl" in fault.hint


def test_a_line_without_end_costs_no_more_than_the_limit(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 2**20)
    monkeypatch.setattr(files, "_BATCH", 2**18)
    path = made("e.jsonl", GOOD + "\n")
    os.truncate(path, 64 * 2**20)
    tracemalloc.start()
    [fault] = faults(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (fault.line, fault.message) == (2, "is too long")
    assert peak < 8 * 2**20


def test_a_file_of_100_mb_is_refused_without_reading_it(made: Made) -> None:
    path = made("e.json", "[")
    os.truncate(path, 100 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "too large" in faults(path)[0].message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 * 1024


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_ten_thousand_faults_are_told_in_few_words(made: Made, suffix: str) -> None:
    if suffix == "jsonl":
        text = "\n".join(["{}"] * 10_000)
    else:
        text = line(top='"api_keys":[' + ",".join(f'{{"can_fly_{n}":true}}' for n in range(10_000)) + "]")
    found = faults(made(f"e.{suffix}", text))
    assert len(found) == 50
    assert "and more" in found[-1].message or any("and more" in fault.message for fault in found)


def test_a_line_with_a_hundred_thousand_unknown_facts_is_not_searched_through(made: Made) -> None:
    text = line(top='"api_keys":[{' + ",".join(f'"can_fly_{n}":true' for n in range(100_000)) + "}]")
    assert len(faults(made("e.jsonl", text))) == 50


def test_a_key_of_a_megabyte_is_cut_short_and_cannot_write_to_the_terminal(made: Made) -> None:
    found = faults(made("e.jsonl", line(top='"\\u001b[2J' + "x" * 2**20 + '":1')))
    assert "\x1b" not in str(found[0])
    personal = faults(made("f.jsonl", line('"bob@example.com":1')))
    assert "bob@example" not in str(personal[0])


def test_a_list_of_thousands_of_documents_takes_no_square_of_time(made: Made) -> None:
    one = line('"kyc_level":1', '"api_keys":[{"can_read":true}]')
    assert len(read(made("e.json", "[" + ",".join([one] * 4_000) + "]"))) == 4_000


_FINE = {
    "byte order mark": "\ufeff" + GOOD,
    "carriage returns": GOOD + "\r",
    "spaces": "  " + GOOD.replace(":", " : ").replace("auditor/evidence / 1", "auditor/evidence/1") + " ",
    "NUL in a label": line(top='"api_keys":[{"label":"a\\u0000b"}]'),
    "lone surrogate in a label": line(top='"api_keys":[{"label":"a\\ud800b"}]'),
    "surrogate pair": line(top='"api_keys":[{"label":"\\ud83d\\ude00"}]'),
    "quote in disguise": line(top='"api_keys":[{"label":"\\u0022x\\u0022"}]'),
    "noncharacters": line(top='"api_keys":[{"label":"\\ufffe\\uffff"}]'),
    "line separators": line(top='"api_keys":[{"label":"a\u2028b\u0085c"}]'),
    "DEL": line(top='"api_keys":[{"label":"a\x7fb"}]'),
    "date only": line('"created_at":"2025-01-03"'),
    "another offset": line('"created_at":"2025-01-03T01:00:00+01:00"'),
    "small letters": line('"created_at":"2025-01-03t00:00:00z"'),
    "nine digits of a second": line('"created_at":"2025-01-03T00:00:00.123456789Z"'),
    "everything null": line(
        '"created_at":null,"hold_after_new_device_hours":null',
        '"api_keys":null,"venue":null,"sources":null,"problems":null,"collected_at":null',
    ),
    "nulls inside": line(
        top='"problems":[{"endpoint":"x","reason":"timeout","detail":null,"facts":null}],"sources":{"api_keys":{"by":"api","ref":null}}'
    ),
    "large whole number": line('"kyc_level":9007199254740992'),
    "largest number": line('"balance_usd":1e300'),
    "number of 299 digits": line('"balance_usd":' + "9" * 299),
    "4,000 decimals": line('"balance_usd":0.' + "1" * 4_000),
    "minus nothing": line('"kyc_level":-0,"balance_usd":-0.0'),
    "like a time": line(top='"api_keys":[{"label":"0001-01-01T00:00:00Z"}]'),
    "the first moment": line('"created_at":"2009-01-01T00:00:00Z"'),
    "the last moment": line('"created_at":"2100-01-01T00:00:00Z"'),
    "SQL": line(top='"api_keys":[{"label":"\'; DROP TABLE docs; --","vendor":"$1 {} %s"}]'),
}


@pytest.mark.parametrize("text", _FINE.values(), ids=_FINE)
def test_unusual_and_fine(made: Made, text: str) -> None:
    rules = [
        rule("r", "api_key", "api_key.label <> 'x' AND api_key.vendor <> 'x'"),
        rule(
            "s",
            "account",
            "account.created_at < now AND account.kyc_level > 0 AND account.balance_usd > 0 AND account.hold_after_new_device_hours > 0",
        ),
    ]
    path = made("e.jsonl", "\n" + text + "\n\n" + GOOD + "\n")
    with Evidence(NOW).add_files([path]) as evidence, Evaluation(evidence, rules, {}) as evaluation:
        assert len(list(evaluation.documents())) == len(list(evidence.snapshots())) == len(evidence) == 2


def test_a_time_is_spelled_one_way(made: Made) -> None:
    spelled = ["2025-01-03", "2025-01-03T01:00:00+01:00", "2025-01-03t00:00:00z", "2025-01-03 00:00:00Z"]
    text = "\n".join(line(f'"created_at":"{one}"') for one in spelled)
    assert {one["account"]["created_at"] for one in read(made("e.jsonl", text))} == {"2025-01-03T00:00:00Z"}


def test_a_mixed_file_keeps_its_order_and_its_lines(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BATCH", 1000)
    names = [f"account-{number}" for number in range(300)]
    texts = [GOOD.replace('"a"', f'"{name}"') for name in names]
    texts = [text if number % 7 else text[:-1] + ',"venue":{"lifecycle":null}}' for number, text in enumerate(texts)]
    path = made("e.jsonl", "\n".join(texts))
    assert [one["account"]["name"] for one in read(path)] == names
    broken = [*texts[:250], "{", *texts[250:]]
    assert [fault.line for fault in faults(made("f.jsonl", "\n".join(broken)))] == [251]


def test_many_documents_meet_their_own_outcomes(made: Made) -> None:
    """The engine's order is the file's, however many threads read it."""
    texts = [
        line(f'"kyc_level":{number},"parent":"{"x" * 300}"').replace('"a"', f'"n{number}"') for number in range(12_000)
    ]
    rules = [rule("r", "account", "account.kyc_level > 0")]
    path = made("e.jsonl", "\n".join(texts))
    with Evidence(NOW).add_files([path]) as evidence, Evaluation(evidence, rules, {}) as evaluation:
        for number, (snapshot, found) in enumerate(zip(evidence.snapshots(), evaluation.documents(), strict=True)):
            assert snapshot.name == f"n{number}"
            assert found[0].facts["account.kyc_level"] == number


def test_what_duckdb_refuses_is_no_traceback() -> None:
    with Evidence(NOW).add([document()]) as evidence:
        evidence.parts[0].path("documents").write_text('{"account":{"name":"a","name":"b"}}\n{"account"')
        with pytest.raises(InputError) as caught:
            Evaluation(evidence, [rule("r", "account", "account.settings_lock")], {})
    assert "cannot be evaluated" in caught.value.faults[0].message


@pytest.mark.parametrize("table", ["documents", "api_keys", "events"])
@pytest.mark.parametrize("left", [None, 0, 1], ids=["gone", "empty", "cut"])
@pytest.mark.parametrize("wide", [False, True])
def test_what_was_read_and_is_gone_is_not_nothing(tmp_path: Path, table: str, left: int | None, wide: bool) -> None:
    """Somebody tidies up temporary files: what remains is not all there was."""
    rules = [rule("r", "api_key", "NOT api_key.can_trade"), rule("s", "event", "event.owner_confirmed")]
    rows = {"api_keys": [{"can_trade": True}] * 2, "events": [{"kind": "login"}] * 2}
    with Evidence(NOW).add([document(**rows), document({"name": "b"}, **rows)]) as evidence:
        path = evidence.parts[0].path(table)
        whole = path.read_text().splitlines(keepends=True)
        path.unlink() if left is None else path.write_text("".join(whole[:left]))
        with pytest.raises(InputError, match="gone from the folder"):
            census.take(evidence, rules, tmp_path / "out", floor=0.5) if wide else Evaluation(evidence, rules, {})
        assert not any((tmp_path / "out").glob("*"))
