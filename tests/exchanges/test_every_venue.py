"""What holds for every exchange that has a twin: a failing venue costs facts, never invents one, and never accuses a key.

Found by name: a new exchange is under these tests as soon as its twin is there.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from auditor import twin as twins
from auditor.exchanges import _budget, _load, _transport, _venue
from auditor.exchanges._base import Sheet
from auditor.model.evidence import Reason
from auditor.model.venue import INVENTORY
from auditor.twin._base import Breakage, Refusal, Spoken, TwinVenue
from tests.exchanges import wire
from tests.exchanges.wire import ALL, shown

collect = partial(wire.collect, asked=ALL)
"""Of every exchange all that can be asked for."""
IDS = sorted(found.name for found in pkgutil.iter_modules(twins.__path__) if not found.name.startswith("_"))
DELIBERATE = {Reason.NOT_COLLECTED, Reason.PERMISSION_DENIED, Reason.NOT_EXPOSED}
OUTAGES: tuple[Refusal | Breakage, ...] = (
    Refusal.MAINTENANCE,
    Refusal.RATE_LIMIT,
    *(how for how in Breakage if how is not Breakage.SILENCE),
)
UNASKED = {
    ("bybit", "SUB_PAGES"): "only where the first list of sub-accounts is full, with a thousand of them",
}
"""Declared endpoints that no situation of the twin calls, by their name in the connector, and why. A clock is not among them:
it is asked when the exchange complains of the time, or before a signature that holds one.
"""
ANY_KEY = {"is_audit_key", "kind", "enabled", "can_read"}
"""What every answered call proves of the key that made it, whatever the call shows."""
TESTED_IN = {"gate": "test_gate_venue.py"}  # test_gate.py is about the gate that every request passes
EXCHANGES = Path(_venue.__file__).parent
STOPS = (Refusal.BAD_KEY, Refusal.BAD_SIGNATURE, Refusal.FOREIGN_IP)


def fresh(id_: str) -> TwinVenue:
    made: TwinVenue = importlib.import_module(f"auditor.twin.{id_}").Twin()
    return made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(_budget, "SHARE", 1000.0)


@cache
def healthy(id_: str) -> Sheet:
    return collect(fresh(id_))


def places(id_: str) -> list[str]:
    twin = fresh(id_)
    return sorted({path for _, path in (*twin.signed, *twin.public)})


EVERY_PLACE = [(id_, path) for id_ in IDS for path in places(id_)]


def known(sheet: Sheet) -> dict[str, Any]:
    """Everything a sheet says, by a name that tells rows apart."""
    facts = {f"account.{name}": value for name, value in sheet.account.items()}
    facts |= {f"venue.{name}": value for name, value in sheet.venue.items()}
    for scope, rows in sheet.rows.items():
        for row in rows or []:
            who = row.get("public_id") or (row.get("sub_account"), row.get("label"), row.get("created_at"))
            facts |= {f"{scope} {who} {name}": value for name, value in row.items()}
    return facts


@pytest.mark.parametrize("id_", IDS)
def test_a_healthy_venue_shows_the_calling_key_and_nothing_fails(id_: str) -> None:
    sheet = healthy(id_)
    assert [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")]
    assert {problem.reason for problem in sheet.problems} <= DELIBERATE


@pytest.mark.parametrize("id_", IDS)
def test_a_key_that_trades_derivatives_trades(id_: str) -> None:
    """Rules ask for `can_trade` alone."""
    keys = healthy(id_).rows.get("api_key") or []
    assert keys and [key for key in keys if key.get("can_trade_derivatives") and not key.get("can_trade")] == []


@pytest.mark.parametrize("id_", IDS)
def test_what_is_declared_is_read_documented_and_served_by_the_twin(id_: str) -> None:
    connector, venue, twin = _load.connector(id_), _venue.load(id_), fresh(id_)
    assert connector is not None
    assert tuple(connector.credentials) == venue.credentials
    assert len({(one.verb, one.host, one.path) for one in connector.endpoints}) == len(connector.endpoints)
    served = {*twin.signed, *twin.public}
    for one in connector.endpoints:
        assert (one.verb, one.path) in served, f"{one.path} is declared and the twin does not know it"
        assert one.source.startswith("https://")
        assert one.public == ((one.verb, one.path) in twin.public)
        assert one.limit.calls > 0
        assert one.limit.seconds > 0


@pytest.mark.parametrize("how", OUTAGES)
@pytest.mark.parametrize("id_", IDS)
def test_a_venue_that_is_down_proves_nothing_and_accuses_nobody(id_: str, how: Refusal | Breakage) -> None:
    sheet = collect(fresh(id_), prepare=lambda twin: twin.fail(how), deadline=2)
    assert known(sheet) == {}
    assert all(rows is None for rows in sheet.rows.values())
    assert sheet.problems
    assert not {problem.reason for problem in sheet.problems} & {Reason.INVALID_KEY, Reason.IP_NOT_ALLOWED}
    assert any("api_keys" in problem.facts for problem in sheet.problems)


@pytest.mark.parametrize("how", STOPS)
@pytest.mark.parametrize("id_", IDS)
def test_a_refused_key_is_not_used_again(id_: str, how: Refusal) -> None:
    twin = fresh(id_)
    sheet = collect(twin, prepare=lambda twin: twin.fail(how))
    assert sheet.rows["api_key"] is None
    asked = [request for request in twin.requests if (request.verb, request.path) in twin.signed]
    assert len(asked) == 1
    connector = _load.connector(id_)
    assert connector is not None
    public = {one.name for one in connector.endpoints if one.public}  # they were asked without a key
    said = {problem.reason for problem in sheet.problems if problem.endpoint not in public}
    assert said <= {Reason.INVALID_KEY, Reason.IP_NOT_ALLOWED, *DELIBERATE}
    assert said & {Reason.INVALID_KEY, Reason.IP_NOT_ALLOWED}


@pytest.mark.parametrize(
    "how", [Refusal.MAINTENANCE, Refusal.MISSING_PERMISSION, Breakage.TRUNCATED, Breakage.WRONG_SHAPE, Breakage.EMPTY]
)
@pytest.mark.parametrize(("id_", "path"), EVERY_PLACE)
def test_one_failing_endpoint_costs_its_facts_and_changes_no_other(
    id_: str, path: str, how: Refusal | Breakage
) -> None:
    sheet = collect(fresh(id_), prepare=lambda twin: twin.fail(how, path), deadline=2)
    whole, part = known(healthy(id_)), known(sheet)
    for name, value in part.items():
        if not name.endswith(("label", "sub_account")):
            assert name in whole, f"{name} is known only when {path} fails"
            assert whole[name] == value, f"{name} changed when {path} failed"
    asked = any(request.path == path for request in _requests(id_))
    assert not asked or sheet.problems, f"{path} failed and nobody says so"


@cache
def _requests(id_: str) -> tuple[Any, ...]:
    twin = fresh(id_)
    collect(twin)
    return tuple(twin.requests)


@pytest.mark.parametrize("id_", IDS)
def test_secrets_never_reach_the_sheet(id_: str) -> None:
    canary = {
        "apiKey": "CANARYKEYCANARYKEYCANARY",
        "secret": "Q0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZ",
        "password": "CANARYPASSPHRASE",
    }
    wrong = {name: canary.get(name, value) for name, value in fresh(id_).sample_credentials().items()}
    sheet = collect(fresh(id_), credentials=wrong)
    assert sheet.problems
    for value in wrong.values():
        assert value not in repr(sheet)
    for value in fresh(id_).sample_credentials().values():
        assert value not in repr([healthy(id_).account, healthy(id_).venue, healthy(id_).problems])


@pytest.mark.parametrize("id_", _venue.ids())
def test_the_venue_file_answers_what_an_owner_asks(id_: str) -> None:
    venue = _venue.load(id_)
    assert venue.traps
    assert venue.hidden
    if venue.connector is None:
        return
    assert venue.permissions_tick
    assert venue.permissions_never
    assert "account.keys_counted" in venue.where or "account.key_inventory_complete" in known(healthy(id_))
    for policy in venue.policies:
        assert policy.value is None or policy.confidence in {"high", "medium", "low"}


def connectors() -> list[str]:
    """The modules that read an exchange, from the folder: what nobody registered is found too."""
    return sorted(path.stem for path in EXCHANGES.glob("*.py") if not path.name.startswith("_"))


def test_every_connector_has_its_venue_file_twin_and_tests_and_the_other_way_round() -> None:
    read = connectors()
    assert read == IDS
    assert read == sorted(id_ for id_ in _venue.ids() if _venue.load(id_).connector is not None)
    for id_ in read:
        assert _venue.load(id_).connector == id_
        tests = Path(__file__).with_name(TESTED_IN.get(id_, f"test_{id_}.py"))
        assert tests.is_file(), f"{id_} has no {tests.name}"
        assert "def test_" in tests.read_text(), f"{tests.name} tests nothing"


@pytest.mark.parametrize("id_", IDS)
def test_every_declared_endpoint_is_called_or_excused(id_: str) -> None:
    connector = _load.connector(id_)
    assert connector is not None
    declared = {(one.verb, one.path) for one in connector.endpoints}
    asked: set[tuple[str, str]] = set()
    for situation, credentials in fresh(id_).situations().items():
        twin = fresh(id_)
        collect(twin, credentials=credentials, prepare=partial(_enter, situation=situation), deadline=5)
        asked |= {(request.verb, _as_declared(request.path, declared)) for request in twin.requests}
    silent = {one.name for one in connector.endpoints if (one.verb, one.path) not in asked and one != connector.clock}
    excused = {getattr(connector, name).name for venue, name in UNASKED if venue == id_}
    assert silent == excused


def test_only_venues_that_exist_are_excused() -> None:
    assert {id_ for id_, _ in UNASKED} <= set(IDS)
    assert TESTED_IN.keys() <= set(IDS)


@pytest.mark.parametrize("id_", IDS)
def test_nothing_is_asked_that_is_not_declared(id_: str) -> None:
    """In health and in trouble, with every key, whatever the venue answers."""
    connector = _load.connector(id_)
    assert connector is not None
    declared = {(one.verb, one.path) for one in connector.endpoints}
    ever: set[tuple[str, str]] = set()
    for how in (None, Refusal.BAD_TIMESTAMP, Refusal.MISSING_PERMISSION, Breakage.REDIRECT):
        for situation, credentials in fresh(id_).situations().items():
            twin = fresh(id_)
            collect(twin, credentials=credentials, prepare=partial(_enter, situation=situation, how=how))
            asked = {(request.verb, _as_declared(request.path, declared)) for request in twin.requests}
            assert asked <= declared, situation
            ever |= asked
    assert ever


def _enter(twin: TwinVenue, situation: str, how: Refusal | Breakage | None = None) -> None:
    twin.enter(situation)
    if how is not None:
        twin.fail(how)


def _as_declared(path: str, declared: set[tuple[str, str]]) -> str:
    """The declared path that a request fills in, if it is one of those with a part in braces."""
    asked = path.split("/")
    for _, place in declared:
        parts = place.split("/")
        if len(parts) == len(asked) and all(a == b or a.startswith("{") for a, b in zip(parts, asked, strict=True)):
            return place
    return path


@cache
def promised(id_: str) -> dict[str, set[str]]:
    """What the venue really shows, over all its situations: fact names by place."""
    found: dict[str, set[str]] = {}
    for situation, credentials in fresh(id_).situations().items():
        sheet = collect(fresh(id_), credentials=credentials, prepare=partial(_enter, situation=situation), deadline=5)
        for place, names in shown(sheet, credentials.get("apiKey")).items():
            found.setdefault(place, set()).update(names)
    return found


@pytest.mark.parametrize("id_", IDS)
def test_every_promised_fact_is_written_and_no_other(id_: str) -> None:
    """`shows` of the venue file is what `auditor exchanges` tells without loading a connector: it must be true."""
    told = {place: set(names) for place, names in _venue.load(id_).shows.items()}
    assert told == promised(id_)


def test_a_venue_without_a_connector_promises_nothing() -> None:
    for id_ in set(_venue.ids()) - set(IDS):
        assert _venue.load(id_).shows == {}


CONTENT = {"NOT_EXPOSED", "NOT_COLLECTED", "IMPLAUSIBLE_RESPONSE"}
"""Reasons that come from what a good answer says or lacks; no code of a refusal means them."""


@cache
def code_table(module: str) -> frozenset[Reason]:
    """Every reason that a connector's source gives a refusal, with those of a connector it classifies by."""
    tree = ast.parse((EXCHANGES / f"{module}.py").read_text())
    told = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "problem"
    ]
    aside = {id(inner) for node in told for inner in ast.walk(node)}
    named = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Reason"
        and id(node) not in aside
    }
    parents = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "auditor.exchanges"
        for alias in node.names
        if not alias.name.startswith("_")
    ]
    inherited = frozenset[Reason]().union(*(code_table(parent) for parent in parents))
    return inherited | {Reason[name] for name in named - CONTENT}


@pytest.mark.parametrize("id_", IDS)
def test_every_reason_of_the_code_table_is_given_by_some_answer_over_the_wire(id_: str) -> None:
    answers: list[Refusal | Spoken] = [*Refusal, *fresh(id_).further]
    given: set[Reason] = set()
    for how in answers:
        given |= {problem.reason for problem in collect(fresh(id_), prepare=lambda twin: twin.fail(how)).problems}  # noqa: B023
    for path in places(id_) if code_table(id_) - given else []:  # a right that is missing in one place only
        sheet = collect(fresh(id_), prepare=lambda twin: twin.fail(Refusal.MISSING_PERMISSION, path))  # noqa: B023
        given |= {problem.reason for problem in sheet.problems}
    assert code_table(id_) <= given, f"no answer of the twin means {code_table(id_) - given}"
    assert len(code_table(id_)) >= 2, "a connector that tells no refusals apart"


PERSONAL = {
    "email": "canary.person@mail.invalid",
    "mobile": "+15550100999",
    "clientSecret": "CANARY-SECRET-0001",
    "bankAccount": "CANARY-ACCOUNT",
}


def _tainted(value: Any) -> Any:
    """The answer with personal data and secrets in every object of it, as new fields of an exchange's answers come."""
    if isinstance(value, dict):
        return {**{name: _tainted(child) for name, child in value.items()}, **PERSONAL}
    return [_tainted(child) for child in value] if isinstance(value, list) else value


def _taint(twin: TwinVenue) -> None:
    def tainted(route: Any) -> Any:
        return lambda request, key: _tainted(route(request, key))

    twin.signed = {place: tainted(route) for place, route in twin.signed.items()}


@pytest.mark.parametrize("id_", IDS)
def test_personal_data_and_secrets_of_an_answer_are_dropped_at_the_door(id_: str) -> None:
    sheet = collect(fresh(id_), prepare=_taint, deadline=5)
    assert [row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key")], (
        "nothing was read, so nothing is proven"
    )
    for value in PERSONAL.values():
        assert value not in repr(sheet)


@pytest.mark.parametrize("id_", IDS)
def test_the_key_inventory_that_a_venue_file_promises_is_what_a_healthy_run_shows(id_: str) -> None:
    """`all`: the list of keys is proven whole. `none`: of the calling key nothing but that it works. Else `calling`."""
    sheet = healthy(id_)
    calling = next(row for row in sheet.rows["api_key"] or [] if row.get("is_audit_key"))
    if sheet.account.get("key_inventory_complete") is True:
        shown = "all"
    else:
        shown = "calling" if calling.keys() - ANY_KEY else "none"
    assert _venue.load(id_).inventory == shown


@pytest.mark.parametrize("id_", _venue.ids())
def test_every_venue_file_says_what_a_reading_key_shows(id_: str) -> None:
    venue = _venue.load(id_)
    assert venue.inventory in INVENTORY
    assert venue.connector is not None or venue.inventory == "none"
    assert venue.inventory == "all" or "account.keys_counted" in venue.where or venue.connector is None
