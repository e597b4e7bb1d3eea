"""Cheapest proofs against brute force on small models made by chance, and what reaching means."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.ruleset.kleene import ALWAYS
from auditor.threats.model import Model, Move, State
from auditor.threats.solve import Graph, ones, weights

from .invented import analyst

chanced = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = [f"s{number}" for number in range(7)]


def small(chance: random.Random) -> Model:
    """Up to nine moves over seven states; s0 and s1 are capabilities, s6 is the goal. Circles are likely."""
    moves = []
    for number in range(chance.randrange(3, 10)):
        groups = [tuple(chance.sample(NAMES[:-1], chance.randrange(1, 3))) for _ in range(chance.randrange(2))]
        moves.append(
            Move(
                action=f"m{number}",
                text="x",
                have=tuple(chance.sample(NAMES[:-1], chance.randrange(0 if groups else 1, 3))),
                any=tuple(groups),
                when=ALWAYS,
                rows=None,
                gives=tuple(chance.sample(NAMES[2:], chance.randrange(1, 3))),
                cost=chance.randrange(1, 6),
            )
        )
    states = {name: State(id=name, text=name, goal=name == "s6", losing_funds=name == "s6") for name in NAMES}
    return Model(states=states, capabilities=("s0", "s1"), together=(), moves=tuple(moves), remedies=())


def can(model: Model, moves: Sequence[int], start: str) -> set[str]:
    """Everything gained from one capability, by the plainest reading of a model."""
    held, before = {start}, set()
    while held != before:
        before = set(held)
        for number in moves:
            move = model.moves[number]
            if set(move.have) <= held and all(set(group) & held for group in move.any):
                held |= set(move.gives)
    return held


@chanced
@given(st.integers(0, 2**48).map(random.Random))
def test_reach_and_cheapest_are_those_of_brute_force(chance: random.Random) -> None:
    model = small(chance)
    graph, all_ = Graph(model), range(len(model.moves))
    open_ = [number for number in all_ if chance.random() < 0.85]
    doubted = sum(1 << number for number in open_ if chance.random() < 0.3)
    hours = {number: chance.choice([0, 0, 24]) for number in all_}
    weighed = weights(tuple(move.cost for move in model.moves), doubted)

    def rank(moves: Sequence[int]) -> tuple[int, int]:
        return sum(weighed[number] for number in moves), max((hours[number] for number in moves), default=0)

    mask = sum(1 << number for number in open_)
    for start in model.capabilities:
        held, goal = graph.start([start]), graph.bits["s6"]
        reached = can(model, open_, start)
        assert {name for name, bit in graph.bits.items() if graph.reach(held, mask) & bit} == reached
        if "s6" not in reached:
            continue
        proof = graph.cheapest(held, goal, mask, weighed, lambda moves, _: max(hours[one] for one in moves))
        assert set(proof) <= set(open_)
        assert "s6" in can(model, proof, start)
        best = min(
            rank(moves)
            for size in range(1, len(open_) + 1)
            for moves in combinations(open_, size)
            if "s6" in can(model, moves, start)
        )
        assert rank(proof) == best
        so_far = {start}
        for number in proof:
            move = model.moves[number]
            assert set(move.have) <= so_far and all(set(group) & so_far for group in move.any), "not in this order"
            so_far |= set(move.gives)


@chanced
@given(st.integers(0, 2**48).map(random.Random))
def test_more_to_begin_with_and_more_moves_never_mean_less(chance: random.Random) -> None:
    graph = analyst().graph
    fewer = sum(1 << number for number in range(len(graph.gives)) if chance.random() < 0.6)
    more = fewer | sum(1 << number for number in range(len(graph.gives)) if chance.random() < 0.2)
    capabilities = chance.sample(analyst().model.capabilities, 4)
    one, all_ = graph.start(capabilities[:2]), graph.start(capabilities)
    assert not graph.reach(one, fewer) & ~graph.reach(all_, fewer)
    assert not graph.reach(one, fewer) & ~graph.reach(one, more)


def test_an_action_used_twice_is_paid_once() -> None:
    """One number for two things: a tree would count the number twice, and prefer two dear steps to it."""
    move = {"any": (), "when": ALWAYS, "rows": None, "text": "x"}
    moves = (
        Move(action="number", have=("start",), gives=("number",), cost=4, **move),
        Move(action="login", have=("number",), gives=("session",), cost=1, **move),
        Move(action="confirm", have=("number",), gives=("code",), cost=1, **move),
        Move(action="buy_login", have=("start",), gives=("session",), cost=4, **move),
        Move(action="buy_code", have=("start",), gives=("code",), cost=4, **move),
        Move(action="out", have=("session", "code"), gives=("goal",), cost=1, **move),
    )
    states = {name: State(id=name, text=name) for name in ("start", "number", "session", "code", "goal")}
    graph = Graph(Model(states=states, capabilities=("start",), together=(), moves=moves, remedies=()))
    proof = graph.cheapest(
        graph.bits["start"], graph.bits["goal"], -1, weights(graph.costs, 0), lambda _moves, _held: 0
    )
    assert [moves[number].action for number in proof] == ["number", "login", "confirm", "out"]


def test_what_supports_itself_is_no_proof() -> None:
    move = {"any": (), "when": ALWAYS, "rows": None, "text": "x", "cost": 1}
    moves = (
        Move(action="a", have=("egg",), gives=("hen",), **move),
        Move(action="b", have=("hen",), gives=("egg",), **move),
        Move(action="c", have=("hen",), gives=("goal",), **move),
    )
    states = {name: State(id=name, text=name) for name in ("start", "egg", "hen", "goal")}
    graph = Graph(Model(states=states, capabilities=("start",), together=(), moves=moves, remedies=()))
    assert graph.reach(graph.bits["start"], -1) == graph.bits["start"]


def test_bits() -> None:
    assert list(ones(0b10110)) == [0b10, 0b100, 0b10000]
    assert list(ones(0)) == []
