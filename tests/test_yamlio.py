"""The reader of what people write: what it refuses, on which line, and that it does so early."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from auditor import yamlio
from auditor.errors import InputError


def read(text: str, name: str = "x.yaml") -> list[object]:
    return [one.value for one in yamlio.parse_all(text, name)]


def refused(text: str, name: str = "x.yaml") -> str:
    with pytest.raises(InputError) as caught:
        read(text, name)
    (fault,) = caught.value.faults
    return str(fault)


@pytest.mark.parametrize("hidden", ["\x85", "\u2028", "\u2029"])
def test_no_key_hides_behind_a_break_that_few_see(hidden: str) -> None:
    said = refused(f"title: fine\nwhy: because{hidden}require: 'TRUE'\n")
    assert said.startswith("x.yaml:2: holds U+")
    assert read(f'{{"label": "a{hidden}b"}}', "x.json") == [{"label": f"a{hidden}b"}]
    assert read('label: "a\\u2028b"') == [{"label": "a\u2028b"}]


def test_a_file_is_bounded_however_many_documents_it_is_cut_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamlio, "MAX_VALUES", 100)
    assert len(read("--- 1\n" * 100)) == 100
    assert "more than" in refused("--- 1\n" * 101)
    assert "more than" in refused("--- [1, 2, 3]\n" * 26)


def test_of_one_document_too_many_not_all_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("---\n" * (2 * 2**20 - 1))
    begun = time.process_time()
    with pytest.raises(InputError, match="several documents"):
        yamlio.read(path)
    assert time.process_time() - begun < 2


def test_half_a_character_is_refused() -> None:
    """As arguments bring it that are no UTF-8."""
    assert "surrogates" in refused("a: \udcff")
