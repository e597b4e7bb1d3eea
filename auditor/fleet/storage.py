"""Files that every machine of a fleet can read and write: the one door to fsspec, for S3, GCS, a shared folder or memory.

What is put is there whole or not at all. A path without a scheme is no such file: it is on one machine only.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from auditor import files
from auditor.errors import UsageError
from auditor.fleet import answer
from auditor.redaction import printable, scrub

T = TypeVar("T")
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,31})://(?P<rest>.*)", re.DOTALL)
_MAGIC = re.compile(r"[*?\[]")
_ASKED = re.compile(r"(https?://[^\s?]*)\?\S*")
"""What follows in an address that a store was asked at may be a right to write: GCS names its uploads so."""
_LOCAL = {"file", "local"}
_PATIENCE = {scheme: {"requests_timeout": 60.0} for scheme in ("gs", "gcs")}
"""Seconds for each request, of stores that wait for ever if nobody says so."""
_SHORTEST, _LONGEST = 3, 200


def is_url(text: str) -> bool:
    """Whether a file is named that every machine can reach."""
    return bool(_URL.match(text))


def check(text: str, option: str) -> str:
    """The address, where it may be used. Raises UsageError for one with a password in it, or chained ones."""
    found = _URL.match(text)
    assert found
    if "@" in found["rest"].partition("/")[0]:
        hint = "credentials of a store belong in its own configuration or environment, on every machine"
        raise UsageError(f"{option}: no secret is accepted in an address", hint=hint)
    if "::" in text or not text.isprintable():
        raise UsageError(f"{option}: {printable(text, limit=_LONGEST)} is not a plain address")
    return text.rstrip("/")


def below(url: str, name: str) -> str:
    """A file in a folder."""
    return f"{url}/{name}"


def found(pattern: str) -> list[str]:
    """The files a pattern names, sorted; a plain address names itself. Raises UsageError where there is none."""
    if not _MAGIC.search(pattern.partition("://")[2]):
        return [pattern]

    def glob() -> list[str]:
        system, path = _at(pattern)
        return sorted(system.unstrip_protocol(one) for one in system.glob(path))

    matching = _done(glob, pattern)
    if not matching:
        raise UsageError(f"no file matches {printable(pattern, limit=_LONGEST)}")
    return matching


def exists(url: str) -> bool:
    """Whether a file is there."""

    def look() -> bool:
        system, path = _at(url)
        return bool(system.exists(path))

    return _done(look, url)


def get(url: str, target: Path) -> None:
    """Copies a file here, whole. Raises UsageError."""

    def copy() -> None:
        system, path = _at(url)
        told = system.info(path)
        if told.get("type") == "directory":
            raise IsADirectoryError("is a folder: name its files, as in folder/*.parquet")
        with system.open(path, "rb") as source, target.open("wb") as stream:
            shutil.copyfileobj(source, stream)
            came = stream.tell()
        if came < (told.get("size") or 0):  # what is unpacked on its way is longer than it lies there
            raise OSError(f"{came} bytes came of {told['size']}")

    _done(copy, url)


def put(url: str, content: bytes) -> None:
    """Writes a file, whole or not at all. Raises UsageError."""

    def write() -> None:
        system, path = _at(url)
        protocols = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
        if protocols & _LOCAL:
            files.write(Path(path), content)
            return
        with system.transaction, system.open(path, "wb") as stream:
            stream.write(content)

    _done(write, url)


def _at(url: str) -> tuple[Any, str]:
    """The store and the path in it; a store of its own each time, for a transaction belongs to one writer."""
    from fsspec.core import url_to_fs

    bounds: dict[str, Any] = _PATIENCE.get(url.partition("://")[0], {})
    system, path = url_to_fs(url, skip_instance_cache=True, **bounds)
    return system, str(path)


def _done(work: Callable[[], T], url: str) -> T:
    """What a store gives. Each raises errors of its own kind: whatever it is, it is said of the address."""
    ended = answer.raised(work)
    if not isinstance(ended, answer.Done):
        _refuse(ended, url)
    return ended.value


def _refuse(error: BaseException, url: str) -> NoReturn:
    shown = printable(url, limit=_LONGEST)
    if isinstance(error, ImportError):
        hint = "pip install s3fs for s3://, gcsfs for gs://, adlfs for abfs://: here and on every worker"
        raise UsageError(f"{shown}: the package for this kind of store is not installed", hint=hint)
    said = printable(scrub(_ASKED.sub(r"\1?...", " ".join(str(error).split()))), limit=_LONGEST)
    raise UsageError(f"{shown}: {type(error).__name__}: {said}", hint="can every machine of the fleet reach it?")
