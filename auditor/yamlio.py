"""The only reader of YAML and JSON that people write: bounded, with the line of every value, and nothing implicit.

Tags, anchors, aliases and duplicate keys are refused; `yes`, `no`, `on` and dates stay text, so a typo cannot become a
boolean. It knows no schema: those who call it check what they get and name the line through `Document.line`.
"""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Iterator
from dataclasses import field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.errors import Fault, InputError
from auditor.values import frozen

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 8 * 2**20
MAX_DEPTH = 40
MAX_VALUES = 500_000
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?\Z")
_HIDDEN_BREAK = re.compile("[\x85\u2028\u2029]")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,60}\Z")
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
PARSED = Path(__file__).with_name("parsed.jsonl")
"""The YAML files of this package as JSON, a line each after an index; `python -m tests.parsed` writes it, and a test fails
when it is stale. It saves a YAML parser to whoever asks for one exchange."""

Path_ = tuple[str | int, ...]


@frozen
class Document:
    """A value read from `file`, and the line (from 1) of everything in it."""

    file: str
    value: Any
    lines: dict[Path_, int] = field(repr=False)

    def line(self, *path: str | int) -> int:
        """The line of the value at `path`, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, message: str, *path: str | int, hint: str | None = None) -> Fault:
        """A fault at `path` of this document."""
        return Fault(file=self.file, line=self.line(*path), message=message, hint=hint)


def read(path: Path, *, max_bytes: int = MAX_BYTES) -> Document:
    """The one document in a YAML or JSON file. Raises InputError with file, line and hint."""
    documents = list(islice(read_all(path, max_bytes=max_bytes), 2))
    if len(documents) != 1:
        found = "is empty" if not documents else "holds several documents where one is expected"
        raise InputError([Fault(file=str(path), line=0, message=found)])
    return documents[0]


def shipped(path: Path) -> Document:
    """A file of this package: as it was parsed when the package was made if it is still the same to the byte, else as `read`."""
    import hashlib

    try:
        with PARSED.open("rb") as stream:
            start, length, sha256 = json.loads(stream.readline())[path.relative_to(PARSED.parent).as_posix()]
            if hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                stream.seek(start, 1)
                return Document(file=str(path), value=json.loads(stream.read(length)), lines={})
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not of this file: it is only quicker
        pass
    return read(path)


def read_all(path: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[Document]:
    """Every document of a YAML stream or JSON file."""
    yield from parse_all(read_text(path, max_bytes=max_bytes), str(path))


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """The text of a file, at most `max_bytes` of it, or InputError."""
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            hint = "give the file itself: pipes and devices are not read"
            raise InputError([Fault(file=str(path), line=0, message="is not a file", hint=hint)])
        with path.open("rb") as stream:
            raw = stream.read(max_bytes + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError([Fault(file=str(path), line=0, message=f"cannot be read: {reason}")]) from None
    if len(raw) > max_bytes:
        hint = f"the limit is {max_bytes // 2**20} MiB"
        raise InputError([Fault(file=str(path), line=0, message="is too large", hint=hint)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
    # Raised here, not above: the error that was caught holds the whole file, which may hold a secret.
    raise InputError(
        [Fault(file=str(path), line=line, message="is not UTF-8 text", hint="is this the file you meant?")]
    )


def parse_all(text: str, file: str) -> Iterator[Document]:
    """Every document in `text`; JSON where the file says so, YAML otherwise."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder(file, MAX_VALUES)
    if file.lower().endswith(".json"):
        _refuse_bad_json(text, file)
    else:
        _refuse_hidden_breaks(text, file)
    fault = None
    try:
        for event in yaml.parse(_as_yaml(text, file), Loader=loader):
            builder.take(event)
            if builder.finished is not None:
                yield builder.finished
                builder = _Builder(file, builder.room - len(builder.lines))
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "is not valid YAML"
        line = mark.line + 1 if mark is not None else _line_of(text, getattr(error, "position", 0))
        fault = Fault(file=file, line=line, message=f"cannot be parsed: {problem}")
    if fault is not None:
        raise InputError([fault])


def _line_of(text: str, position: Any) -> int:
    return text.count("\n", 0, position if isinstance(position, int) else 0) + 1


def _as_yaml(text: str, file: str) -> str:
    """JSON is YAML but for tabs between tokens and surrogate pairs in escapes; both are spelled anew, lines kept."""
    if not file.lower().endswith(".json"):
        return text
    spelled = re.sub(
        r'"(?:[^"\\]|\\.)*"', lambda found: json.dumps(json.loads(found[0], strict=False), ensure_ascii=True), text
    )
    spelled = re.sub(
        r"\\ud([89ab]..)\\ud([c-f]..)",
        lambda pair: f"\\U{0x10000 + ((int('d' + pair[1], 16) - 0xD800) << 10) + int('d' + pair[2], 16) - 0xDC00:08x}",
        spelled,
    )
    return spelled.replace("\t", " ")


def _refuse_hidden_breaks(text: str, file: str) -> None:
    """Breaks that this parser takes for the end of a line, and editors and other parsers do not: a key could hide behind one."""
    if found := _HIDDEN_BREAK.search(text):
        message = f"holds U+{ord(found[0]):04X}, which not everybody takes for a line break"
        raise InputError(
            [Fault(file=file, line=_line_of(text, found.start()), message=message, hint="take it out, or escape it")]
        )


def _refuse_bad_json(text: str, file: str) -> None:
    line, message = 1, None if text.strip() else "is empty"
    try:
        json.loads(text or "null", strict=True)
    except json.JSONDecodeError as error:
        line, message = error.lineno, f"is not valid JSON: {error.msg}"
    except RecursionError:
        message = "is nested too deeply"
    except ValueError:
        message = "holds a number that is too long"
    if message is not None:
        raise InputError([Fault(file=file, line=line, message=message)])


class _Builder:
    """Puts one document together from parser events, without recursion, so that depth costs nothing before it is refused."""

    def __init__(self, file: str, room: int) -> None:
        self.file = file
        self.room = room  # how many values the file may still hold
        self.finished: Document | None = None
        self.lines: dict[Path_, int] = {}
        self.stack: list[tuple[Path_, dict[str, Any] | list[Any]]] = []
        self.key: list[str | None] = []
        self.root: Any = None

    def take(self, event: yaml.Event) -> None:
        import yaml

        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._refuse(line, "anchors and aliases are not read here", "write the value out")
        if getattr(event, "tag", None) not in {None, "!"}:
            self._refuse(line, "tags are not read here", "write the plain value")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open({}, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open([], line)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.stack.pop()
            self.key.pop()
        elif isinstance(event, yaml.DocumentEndEvent):
            self.finished = Document(file=self.file, value=self.root, lines=self.lines)

    def _refuse(self, line: int, message: str, hint: str | None = None) -> None:
        raise InputError([Fault(file=self.file, line=line, message=message, hint=hint)])

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        if self.stack and isinstance(self.stack[-1][1], dict) and self.key[-1] is None:
            if event.value in self.stack[-1][1]:
                self._refuse(line, f"{_named(event.value)} stands twice", "keep one of them")
            self.key[-1] = event.value
            self.stack[-1][1][event.value] = None
            return
        value = self._plain(event.value, line) if event.implicit[0] else event.value
        self._place(value, line)

    def _plain(self, text: str, line: int) -> Any:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INT.match(text):
            return int(text)
        if _FLOAT.match(text):
            number = float(text)
            if math.isfinite(number):
                return number
            self._refuse(line, "a number here is not finite")
        return text

    def _open(self, container: dict[str, Any] | list[Any], line: int) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self._refuse(line, f"is nested deeper than {MAX_DEPTH} levels")
        if self.stack and isinstance(self.stack[-1][1], dict) and self.key[-1] is None:
            self._refuse(line, "a key must be plain text")
        self.stack.append((self._place(container, line), container))
        self.key.append(None)

    def _place(self, value: Any, line: int) -> Path_:
        if len(self.lines) >= self.room:
            self._refuse(line, f"holds more than {MAX_VALUES} values", "split the file")
        if not self.stack:
            self.root = value
            self.lines[()] = line
            return ()
        path, parent = self.stack[-1]
        if isinstance(parent, list):
            here: Path_ = (*path, len(parent))
            parent.append(value)
        else:
            key = self.key[-1]
            assert key is not None
            here = (*path, key)
            parent[key] = value
            self.key[-1] = None
        self.lines[here] = line
        return here


def _named(key: str) -> str:
    """A key as it may be shown: what does not look like one may be a secret whose blank after the colon is missing."""
    return f"the key {key!r}" if _KEY.match(key) else "a key"
