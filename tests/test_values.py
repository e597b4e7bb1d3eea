"""`@frozen` beside the standard decorator: the same class in every respect, for shapes made up here and for every value of the
package.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from dataclasses import (
    MISSING,
    FrozenInstanceError,
    asdict,
    dataclass,
    field,
    fields,
    is_dataclass,
    make_dataclass,
    replace,
)
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import auditor
from auditor.values import frozen


class Shape:
    """One of each kind of field."""

    plain: int
    usual: str = "x"
    made: dict[str, int] = field(default_factory=dict)
    unshown: object = field(default=None, repr=False)
    beside: float = field(default=0.0, compare=False)
    uncounted: list[int] = field(default_factory=list, hash=False)


class Alone:
    only: Any


class Nothing:
    """No field at all."""


class Outspoken:
    name: str

    def __repr__(self) -> str:
        return "as its class says"


SHAPES: list[Any] = [Shape, Alone, Nothing, Outspoken]
OURS: dict[Any, Any] = {shape: frozen(type(shape.__name__, (), dict(vars(shape)))) for shape in SHAPES}
STANDARD: dict[Any, Any] = {
    shape: dataclass(frozen=True, slots=True, kw_only=True)(type(shape.__name__, (), dict(vars(shape))))
    for shape in SHAPES
}
_held = st.none() | st.integers(0, 2) | st.sampled_from(["a", (1,), 0.5, "x"])
_fields = {
    Shape: st.fixed_dictionaries(
        {"plain": _held},
        optional={"usual": _held, "made": st.dictionaries(st.just("a"), _held), "unshown": _held, "beside": _held,
                  "uncounted": st.lists(_held, max_size=1)},
    ),
    Alone: st.fixed_dictionaries({"only": _held}),
    Nothing: st.just({}),
    Outspoken: st.fixed_dictionaries({"name": _held}),
}  # fmt: skip
for _made in OURS.values():
    globals()[f"Our{_made.__name__}"] = _made
    _made.__qualname__ = f"Our{_made.__name__}"


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[Any, Any, Any, Any]:
    """Twice two values, alike and made by either decorator."""
    shape = draw(st.sampled_from(SHAPES))
    one, other = draw(_fields[shape]), draw(_fields[shape])
    ours, standard = OURS[shape], STANDARD[shape]
    return ours(**copy.deepcopy(one)), ours(**copy.deepcopy(other)), standard(**one), standard(**other)


def _hash(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@given(_pairs())
def test_values_are_what_the_standard_makes(pairs: tuple[Any, Any, Any, Any]) -> None:
    one, other, same, different = pairs
    assert (one == other) is (same == different) and (one != other) is (same != different)
    assert one != same and one.__eq__("something") is NotImplemented
    assert _hash(one) is _hash(same)
    if one == other and _hash(one):
        assert hash(one) == hash(other)
    assert repr(one).partition("(")[2] == repr(same).partition("(")[2]
    assert asdict(one) == asdict(same)
    for again in (copy.copy(one), copy.deepcopy(one), replace(one), pickle.loads(pickle.dumps(one))):
        assert again == one and type(again) is type(one) and repr(again) == repr(one)


@pytest.mark.parametrize("shape", SHAPES)
def test_nobody_changes_one(shape: Any) -> None:
    made = OURS[shape](**dict.fromkeys([one.name for one in fields(OURS[shape])]))
    for name in [*(one.name for one in fields(made)), "another"]:
        with pytest.raises(FrozenInstanceError):
            setattr(made, name, 1)
        with pytest.raises(FrozenInstanceError):
            delattr(made, name)
    assert not hasattr(made, "__dict__")


def test_what_is_made_for_one_is_not_shared() -> None:
    first, second = OURS[Shape](plain=1), OURS[Shape](plain=1)
    first.made["a"] = 1
    assert second.made == {}


@pytest.mark.parametrize("wrong", [(), {"only": 1, "more": 2}, (1,)])
def test_arguments_are_those_of_the_fields_and_named(wrong: Any) -> None:
    for made in (OURS[Alone], STANDARD[Alone]):
        with pytest.raises(TypeError):
            made(**wrong) if isinstance(wrong, dict) else made(*wrong)


def _values() -> Iterator[Any]:
    for found in pkgutil.walk_packages(auditor.__path__, "auditor."):
        if found.name == "auditor.__main__" or ".migrations" in found.name:
            continue
        for held in vars(importlib.import_module(found.name)).values():
            if isinstance(held, type) and is_dataclass(held) and held.__module__ == found.name:
                yield held


def _arguments(made: Any) -> list[tuple[Any, ...]]:
    """Name, annotation, how it is given, and its default, where it is not made anew each time."""
    found = []
    for name, one in inspect.signature(made).parameters.items():
        fresh = made.__dataclass_fields__[name].default_factory is not MISSING
        found.append((name, one.annotation, one.kind, one.default is one.empty, None if fresh else one.default))
    return found


def test_every_value_of_the_package_is_one() -> None:
    """Their constructors and their fields, beside those of a class with the same fields by the standard decorator."""
    seen = 0
    for ours in _values():
        if ours.__setattr__ is not OURS[Nothing].__setattr__:
            continue
        seen += 1
        parts: list[Any] = []
        for one in fields(ours):
            given: dict[str, Any] = {"repr": one.repr, "compare": one.compare, "hash": one.hash, "kw_only": True}
            if one.default_factory is not one.default:
                given |= {"default": one.default, "default_factory": one.default_factory}
            parts.append((one.name, one.type, field(**given)))
            assert one.init, ours
        theirs: Any = make_dataclass("Theirs", parts, frozen=True, slots=True, kw_only=True)
        assert not hasattr(ours, "__post_init__"), ours
        assert _arguments(ours) == _arguments(theirs)
        assert ours.__slots__ == theirs.__slots__ and ours.__match_args__ == theirs.__match_args__ == ()
    assert seen > 80
