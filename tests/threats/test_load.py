"""Model files of users: what is refused, where and with which hint, and what an action of one's own does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from auditor import threats, yamlio
from auditor.errors import InputError
from auditor.threats import load

from .invented import CONFIRMED, HARD, HARD_VENUE, NOTHING_HELD, NOW, document

OWN = """
version: 1
capabilities:
  stolen_laptop: {text: "the owner's unlocked laptop"}
actions:
  - id: sit_down
    text: "uses the open session on the laptop"
    have: [stolen_laptop]
    unless: account.dedicated_device
    gives: [session]
    cost: 2
changes:
  - id: lock_screen
    text: "Use a device of its own for this account"
    effort: low
    sets: [{facts: {account.dedicated_device: true}}]
"""


def write(folder: Path, text: str, name: str = "own.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(folder: Path, text: str) -> list[str]:
    faults = load.check(write(folder, text))
    assert all(fault.file.endswith("own.yaml") and fault.line > 0 for fault in faults)
    return [f"{fault.line}: {fault.message} | {fault.hint or ''}" for fault in faults]


def test_an_action_of_ones_own_joins_the_model(tmp_path: Path) -> None:
    analyst = threats.analyst(write(tmp_path, OWN))
    [one] = threats.read(
        [document({**HARD, "dedicated_device": False}, HARD_VENUE, **NOTHING_HELD)], NOW, analyst.model
    )
    assert analyst.reaches(["stolen_laptop"], one, NOW)["drain_by_trading"] is CONFIRMED
    paths, _ = analyst.study(one, NOW, str)
    [way] = [path for path in paths if path.id == "stolen_laptop:drain_by_trading"]
    assert way.closed_by == ("lock_screen",)
    assert analyst.model.sha256 != threats.analyst().model.sha256


def test_the_shipped_model_is_what_its_schema_describes() -> None:
    jsonschema.Draft202012Validator.check_schema(load.schema())
    jsonschema.validate(yamlio.read(load.SHIPPED).value, load.schema())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[stolen_laptop]", "[stolen_labtop]", "nothing is called stolen_labtop: did you mean stolen_laptop?"),
        ("[session]", "[sesion]", "nothing is called sesion: did you mean session?"),
        ("account.dedicated_device\n", "account.dedicated_devise\n", "did you mean account.dedicated_device?"),
        ("account.dedicated_device\n", "api_key.ip_bound\n", "cannot be read in a rule about account"),
        ("account.dedicated_device\n", "account.dedicated_device IS NULL\n", "is not part of the language"),
        ("cost: 2", "cost: 6", "out of range"),
        ("cost: 2", "cost: true", "expected a whole number"),
        ("cost: 2", "cost: cheap", "expected a whole number"),
        ("id: sit_down", "id: create_key", "is taken already"),
        ("id: lock_screen", "id: bind_keys", "is taken already"),
        ("stolen_laptop: {text", "sim_swap: {text", "is taken already"),
        ("    have: [stolen_laptop]\n", "", "needs nothing"),
        ("    gives: [session]\n", "", "leads nowhere"),
        ("effort: low", "effort: lo", "did you mean low?"),
        ("dedicated_device: true}", "dedicated_device: maybe}", "expected true or false"),
        ("dedicated_device: true}", "dedicated_devise: true}", "unknown fact"),
        ("{facts: {account", "{scope: api_key, facts: {account", "is no fact of api_key"),
        ("    cost: 2", "    cost: 2\n    costs: 3", "unknown key"),
        ("    cost: 2", "    cost: 2\n    takes: kee", "did you mean key?"),
        ("    cost: 2", "    cost: 2\n    takes: key", "takes from api_key"),
        ("    cost: 2", "    cost: 2\n    delays: [{hours: account.p2p_enabled}]", "is no number of hours"),
        ("    cost: 2", "    cost: 2\n    delays: [{hours: account.new_address_delay_hours, if: sessionn}]", "did you mean session?"),
        ("    cost: 2", "    cost: 2\n    attack: [X1]", "not in the expected form"),
        ("version: 1", "version: 2", "out of range"),
        ("version: 1", "together: [[stolen_laptop]]", "version is missing"),
        ("version: 1", "version: 1\ntogether: [[stolen_laptop]]", "looked at anyway"),
        ("version: 1", "version: 1\ntogether: [[stolen_laptop, sim_swop]]", "did you mean sim_swap?"),
        ("[session]", "[withdraw_funds]\n    any: [[withdraw_funds]]", "nothing is called withdraw_funds"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in OWN
    faults = refused(tmp_path, OWN.replace(old, new, 1))
    assert any(expected in fault for fault in faults), faults


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    broken = (
        OWN.replace("[stolen_laptop]", "[x9]")
        .replace("[session]", "[y9]")
        .replace("dedicated_device: true", "dedicated_device: 3")
    )
    assert len(refused(tmp_path, broken)) == 3


@pytest.mark.parametrize(
    "text",
    ["", "[]", "version: 1\nactions: {}", "version: 1\nactions: [x]", "{", "version: 1\ncapabilities: {A: {text: x}}"],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    assert load.check(write(tmp_path, text))


def test_an_empty_addition_changes_nothing(tmp_path: Path) -> None:
    assert load.check(write(tmp_path, "version: 1\n")) == []


def test_a_name_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load.load([tmp_path / "none.yaml"])


def test_the_example_in_the_docs_loads(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "attack-paths.md").read_text()
    [example] = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    assert load.check(write(tmp_path, example)) == []


def test_json_will_do(tmp_path: Path) -> None:
    table: dict[str, Any] = yamlio.read(write(tmp_path, OWN)).value
    assert load.check(write(tmp_path, json.dumps(table), "own.json")) == []
