"""Many values in order without all of them in memory: beyond a few they lie in a private temporary file, read one at a time.

Knows nothing of what they are. The file has no name from the first moment on, so nobody else can put anything into it, and
it is gone with the process however that ends. A Secret cannot get into it: it refuses to be pickled.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar, overload

_Value = TypeVar("_Value")
_FEW = 300
"""Values that are simply kept: the reports of so many accounts take about 200 MB."""
_QUICK = 1  # the level of compression: the texts of a report are much the same, and the folder may lie in memory


class _Aside:
    """The file: appended to, then read at places."""

    def __init__(self) -> None:
        import tempfile

        self._descriptor, name = tempfile.mkstemp(prefix="auditor-")
        weakref.finalize(self, os.close, self._descriptor)
        os.unlink(name)  # noqa: PTH108  (a name of ours, as bytes or text)
        self._end = 0

    def add(self, value: Any) -> tuple[int, int]:
        """Where it lies, and how long it is."""
        import pickle
        import zlib

        packed = memoryview(zlib.compress(pickle.dumps(value, pickle.HIGHEST_PROTOCOL), _QUICK))
        start, length = self._end, len(packed)
        while packed:
            written = os.pwrite(self._descriptor, packed, self._end)
            packed, self._end = packed[written:], self._end + written
        return start, length

    def at(self, place: tuple[int, int]) -> Any:
        import pickle
        import zlib

        start, length = place
        packed = b""
        while len(packed) < length:
            more = os.pread(self._descriptor, length - len(packed), start + len(packed))
            if not more:
                raise OSError("a temporary file was cut short")
            packed += more
        return pickle.loads(zlib.decompress(packed))  # noqa: S301  (written by this process, into a file without a name)


class Spool(Sequence[_Value], Generic[_Value]):
    """A read-only sequence over such a file. Each look at a value makes it anew; equal to any sequence of equal values."""

    def __init__(self, file: _Aside, places: Sequence[tuple[int, int]]) -> None:
        self._file = file
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> _Value: ...
    @overload
    def __getitem__(self, place: slice) -> Spool[_Value]: ...
    def __getitem__(self, place: int | slice) -> _Value | Spool[_Value]:
        if isinstance(place, slice):
            return Spool(self._file, self._places[place])
        found: _Value = self._file.at(self._places[place])
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process cannot see the file: it is sent the values."""
        return tuple, (tuple(self),)


class Gathering(Generic[_Value]):
    """Values as they come; `done` gives them sorted by `key`: a tuple of a few, a Spool of many. One may `weigh` as much as several."""

    def __init__(
        self,
        key: Callable[[_Value], Any] | None = None,
        *,
        few: int = _FEW,
        weigh: Callable[[_Value], int] | None = None,
    ) -> None:
        self._key, self._left, self._weigh = key, few, weigh
        self._keys: list[Any] = []
        self._kept: list[_Value] = []
        self._file: _Aside | None = None
        self._places: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, value: _Value) -> None:
        self._keys.append(self._key(value) if self._key else len(self._keys))
        if self._file is not None:
            self._places.append(self._file.add(value))
            return
        self._kept.append(value)
        self._left -= self._weigh(value) if self._weigh else 1
        if self._left < 0 and not (self._weigh and len(self._kept) == 1):  # one alone was in memory anyway
            file = _Aside()
            self._places = [file.add(one) for one in self._kept]
            self._file, self._kept = file, []

    def done(self) -> Sequence[_Value]:
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        if self._file is None:
            return tuple(self._kept[place] for place in order)
        return Spool(self._file, [self._places[place] for place in order])


def gathered(values: Iterable[_Value], weigh: Callable[[_Value], int] | None = None) -> Sequence[_Value]:
    """Values in the order in which they come."""
    gathering: Gathering[_Value] = Gathering(weigh=weigh)
    for one in values:
        gathering.add(one)
    return gathering.done()
