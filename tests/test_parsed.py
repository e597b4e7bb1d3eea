"""The YAML files of the package as JSON: they say what the files say, and a file that was changed since is read itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor import yamlio
from auditor.errors import InputError
from auditor.ruleset import shape
from auditor.threats import load
from tests import parsed

PACKAGE = yamlio.PARSED.parent


def test_the_file_is_fresh() -> None:
    assert yamlio.PARSED.read_bytes() == parsed.spelled(), "run `make samples`"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.yaml")), ids=lambda path: path.stem)
def test_it_says_what_the_reader_says(path: Path) -> None:
    assert yamlio.shipped(path).value == yamlio.read(path).value
    assert yamlio.shipped(path).file == str(path)


def test_the_shipped_model_has_the_shape_that_nobody_looks_at_again() -> None:
    assert list(shape.faults(yamlio.read(load.SHIPPED), load.schema())) == []
    assert yamlio.shipped(load.SHIPPED).lines == {}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(yamlio, "PARSED", tmp_path / "parsed.jsonl")
    (tmp_path / "one.yaml").write_text("a: 1\n")
    (tmp_path / "two.yaml").write_text('b: ["\u00e4", 0.5, null]\n')
    yamlio.PARSED.write_bytes(parsed.spelled())
    return tmp_path


def test_each_file_is_found_behind_the_index(package: Path) -> None:
    assert yamlio.shipped(package / "one.yaml") == yamlio.Document(
        file=str(package / "one.yaml"), value={"a": 1}, lines={}
    )
    assert yamlio.shipped(package / "two.yaml").value == {"b": ["\u00e4", 0.5, None]}


def test_a_file_that_was_changed_is_read_itself(package: Path) -> None:
    (package / "one.yaml").write_text("a: 2\n")
    assert yamlio.shipped(package / "one.yaml").value == {"a": 2}
    (package / "one.yaml").write_text("a: 2\na: 3\n")
    with pytest.raises(InputError, match="stands twice"):
        yamlio.shipped(package / "one.yaml")


def test_a_file_that_nobody_parsed_is_read_itself(package: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    for folder in (package, tmp_path_factory.mktemp("elsewhere")):
        (folder / "three.yaml").write_text("c: 3\n")
        assert yamlio.shipped(folder / "three.yaml").value == {"c": 3}


@pytest.mark.parametrize(
    "spoiled", [b"", b"{}\n", b"nonsense\n", b"[]\n", b'{"one.yaml":[0,1]}\n', b'{"one.yaml":7}\n', None]
)
def test_a_table_that_is_broken_or_gone_costs_time_alone(package: Path, spoiled: bytes | None) -> None:
    yamlio.PARSED.unlink()
    if spoiled is not None:
        yamlio.PARSED.write_bytes(spoiled)
    assert yamlio.shipped(package / "one.yaml").value == {"a": 1}


def test_a_file_that_is_not_there_is_refused(package: Path) -> None:
    (package / "one.yaml").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        yamlio.shipped(package / "one.yaml")
