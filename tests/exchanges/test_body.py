"""A body is decoded as `json.loads` would, in whatever encoding, and refused for the same faults and none more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.exchanges import _body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=30,
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")


def nested(depth: int, beside: str = "") -> bytes:
    return f"{'[' * depth}{json.dumps(beside)}{']' * depth}".encode()


def deep(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(deep, children), default=0) if isinstance(value, (dict, list)) else 0


@given(JSON, st.sampled_from(ENCODINGS), st.booleans(), st.sampled_from([None, 1, 7]))
def test_what_is_json_is_read_as_it_is(value: Any, encoding: str, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    raw = text.encode(encoding, "surrogatepass")
    assert _body._decoded(raw) == json.loads(raw)


def test_more_values_than_any_list_of_an_exchange_has_are_not_even_decoded() -> None:
    few, many = [{"a": 1}] * 10_000, [{}] * 300_000
    assert _body._decoded(json.dumps(few).encode()) == few
    assert _body._decoded(json.dumps(many).encode()) is None


@given(st.binary(max_size=60))
def test_bytes_that_are_no_json_are_no_body_and_no_crash(raw: bytes) -> None:
    try:
        known = json.loads(raw)
    except ValueError:
        known = None
    read = _body._decoded(raw)
    assert read == known or read is None


@given(
    st.lists(st.sampled_from(["{", "}", "[", "]", '"a"', '"b"', ":", ",", "1", "NaN", "Infinity", " "]), max_size=14)
)
def test_soup_of_json_is_read_only_where_no_key_stands_twice(soup: list[str]) -> None:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    raw = "".join(soup).encode()
    known = None
    if b"N" not in raw and b"I" not in raw:
        try:
            known = json.loads(raw, object_pairs_hook=once)
        except ValueError:
            known = None
    assert _body._decoded(raw) == known


@pytest.mark.parametrize("beside", ["", "[" * 200, "{]" * 100])
@pytest.mark.parametrize("depth", [1, 63, 64, 65, 66, 100, 2000, 100_000])
def test_64_levels_are_read_and_more_are_not_whatever_stands_in_the_texts(depth: int, beside: str) -> None:
    read = _body._decoded(nested(depth, beside))
    assert (read is not None) is (depth <= 64)
    assert read is None or deep(read) == depth


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_levels_are_counted_in_every_encoding(encoding: str) -> None:
    assert _body._decoded(nested(64).decode().encode(encoding)) is not None
    assert _body._decoded(nested(65).decode().encode(encoding)) is None


def test_many_shallow_tables_are_not_deep() -> None:
    raw = json.dumps([{"a": [1]} for _ in range(1000)]).encode()
    assert _body._decoded(raw) == json.loads(raw)
