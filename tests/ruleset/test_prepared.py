"""The prepared rules: what they say is what the checker says today, and what does not match is not believed."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest

from auditor.errors import InputError
from auditor.ruleset import kleene, loader, plain, predicate, prepared
from tests import prepared as made


def test_the_file_is_fresh() -> None:
    assert prepared.FILE.read_text() == made.spelled(), "run `make samples`"


def test_the_rules_are_those_that_the_checker_makes() -> None:
    quick = loader.load_all([], shipped=True)
    with mock.patch.object(prepared, "_table", return_value=made.NOTHING):
        assert loader.load_all([], shipped=True) == quick
    assert len(quick) == len(list(loader.shipped_folder().glob("*.yaml")))


def test_every_condition_that_ships_is_prepared() -> None:
    table = made.table()
    for scope, texts in table["predicates"].items():
        for text in texts:
            known = prepared.predicate(text, scope)
            assert known == predicate.looked_at(text, applies_to=scope)
            assert prepared.tree(known.sql) == plain.read(known.sql)
            assert kleene.condition(known).facts


def test_a_text_is_prepared_for_the_subjects_it_was_checked_for_and_no_others() -> None:
    text = next(text for text, said in made.table()["predicates"]["api_key"].items() if "api_key." in said["sql"])
    assert prepared.predicate(text, "api_key") is not None
    with pytest.raises(predicate.PredicateError):
        predicate.check(text, applies_to="address")


def first() -> Path:
    return min(loader.shipped_folder().glob("key-*.yaml"))


@pytest.mark.parametrize("change", [b"\n", b"# a remark\n", b"unheard_of: 1\n"])
def test_a_rule_that_was_changed_is_read_anew(tmp_path: Path, change: bytes) -> None:
    path = tmp_path / first().name
    path.write_bytes(first().read_bytes())
    assert prepared.rule(path) is not None
    path.write_bytes(first().read_bytes() + change)
    assert prepared.rule(path) is None
    if b"unheard" in change:
        with pytest.raises(InputError):
            loader.load(tmp_path)


def test_a_change_that_keeps_the_size_is_noticed(tmp_path: Path) -> None:
    path, text = tmp_path / first().name, first().read_bytes()
    path.write_bytes(text.replace(b"high", b"HIGH", 1) if b"high" in text else text[:-2] + b"x\n")
    assert path.stat().st_size == len(text)
    assert prepared.rule(path) is None


def test_a_rule_under_another_name_is_another_rule(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_bytes(first().read_bytes())
    assert prepared.rule(path) is None
    with pytest.raises(InputError, match="not the name of the file"):
        loader.load(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b'{"made_by": "somebody else"}', b"\xff"])
def test_a_table_that_is_missing_broken_or_of_another_checker_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    file = tmp_path / "prepared.json"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(prepared, "FILE", file)
    prepared._table.cache_clear()
    try:
        assert prepared.rule(first()) is None
        assert loader.load_all([], shipped=True)
    finally:
        prepared._table.cache_clear()


def test_another_catalogue_is_another_checker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = prepared.made_by()
    assert json.loads(prepared.FILE.read_text())["made_by"] == before
    for name in ("facts.py", "facts.yaml"):
        (tmp_path / name).write_bytes(Path(prepared.facts.__file__).with_name(name).read_bytes())
    with (tmp_path / "facts.yaml").open("a") as stream:
        stream.write("# a remark\n")
    monkeypatch.setattr(prepared.facts, "__file__", str(tmp_path / "facts.py"))
    assert prepared.made_by() != before
