"""Looks on this machine, where its owner points: do the very secrets that this run holds lie about in plain text, and is a
package installed that is known to steal keys?

Exact: a secret is found where it stands, as it is or as a file spells it (quoted, in Base64, in the two bytes a letter of
Windows), so that there is no false alarm. It is never shown, only the place is. What was not looked at, or could not be
read in time, proves nothing: this room says yes, and never no.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from auditor import lookalikes
from auditor.lookalikes import Package
from auditor.redaction import Secret
from auditor.values import frozen

PATIENCE = 60.0
"""Seconds for all of it."""
PIECE = 8 * 2**20
"""Bytes that are looked into at a time."""
_SHORTEST = 8
"""Characters of a secret that is looked for; a shorter one is found in anything."""
_HISTORIES = (
    *(
        ".bash_history",
        ".zsh_history",
        ".zhistory",
        ".histfile",
        ".sh_history",
        ".ksh_history",
        ".ash_history",
        ".history",
    ),
    *(
        ".python_history",
        ".node_repl_history",
        ".psql_history",
        ".mysql_history",
        ".sqlite_history",
        ".lesshst",
        ".viminfo",
    ),
    *(
        ".local/share/fish/fish_history",
        ".local/share/zsh/history",
        ".local/state/bash/history",
        ".local/state/zsh/history",
    ),
    *(".config/nushell/history.txt", ".local/share/powershell/PSReadLine/ConsoleHost_history.txt"),
    *(".local/share/atuin/history.db", ".config/nushell/history.sqlite3"),
)
_SKIPPED = {".hg", "__pycache__", ".cache", *lookalikes.INSTALLED}
_LONGEST_HEAD = 200
_SPECIAL = re.compile(r"[^A-Za-z0-9@%_+=:,./-]")
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never", "-c", f"core.bigFileThreshold={PIECE}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Found:
    """A secret that lies in the open. `whose` is what the caller called it; `place` a path, or an object of a repository."""

    whose: str
    place: str


@frozen
class Exposure:
    """What was found. `unread` are places that could not be looked into, or not to their end."""

    secrets: tuple[Found, ...] = ()
    packages: tuple[tuple[Package, str], ...] = ()
    readable: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def look(
    places: Iterable[Path],
    held: Mapping[str, Secret],
    *,
    home: Path | None,
    own: Collection[Path] = (),
    private: Iterable[Path] = (),
) -> Exposure:
    """What lies open in `places` and in the shell histories of `home`. `held` is what it is called -> the secret.

    `own` are the files in which secrets are kept on purpose (`file:` references); `private` are files of this program
    that only their owner may read.
    """
    looking = _Looking(held, own, time.monotonic() + PATIENCE)
    histories = [path for name in _HISTORIES if home is not None and (path := home / name).is_file()]
    for place in [*histories, *places]:
        looking.into(place)
    return Exposure(
        secrets=tuple(sorted(looking.found)),
        packages=tuple(sorted(looking.packages, key=lambda pair: (pair[0].name, pair[1]))),
        readable=tuple(sorted(str(path) for path in private if _open_to_others(path))),
        unread=tuple(sorted(looking.unread)),
    )


class _Looking:
    def __init__(self, held: Mapping[str, Secret], own: Collection[Path], deadline: float) -> None:
        needles = {name: _spelled(secret.reveal()) for name, secret in held.items()}
        self._needles = [(name, needle) for name, spelled in needles.items() for needle in spelled]
        self._longest = max((len(needle) for _, needle in self._needles), default=1)
        self._own = {os.path.realpath(path) for path in own}
        self._deadline = deadline
        self.found: set[Found] = set()
        self.packages: set[tuple[Package, str]] = set()
        self.unread: set[str] = set()

    def into(self, place: Path) -> None:
        """Looks at a file, or at everything in a folder. Links are not followed out of it."""
        if place.is_file():
            self._file(place.resolve(), place)
            return
        for folder, names, files in os.walk(place, onerror=lambda error: self.unread.add(str(error.filename))):
            here = Path(folder)
            self.packages.update(lookalikes.found(here, names))
            if ".git" in {*names, *files}:
                self._repository(here / ".git", here)
            elif here.name != ".git" and _is_repository(names, files):
                self._repository(here, here)
            names[:] = sorted(set(names) - _SKIPPED - ({"objects"} if _is_repository(names, files) else set()))
            for name in sorted(files):
                self._file(here / name)
            if self._is_late():
                self.unread.add(f"{place} (not to its end: it is too large)")
                return

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _file(self, path: Path, called: Path | None = None) -> None:
        """Files without a length are those of a system, such as /proc, and not to be read."""
        if self._is_late() or os.path.realpath(path) in self._own:
            return
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "rb") as stream:
                status = os.fstat(descriptor)
                whole = not (stat.S_ISREG(status.st_mode) and status.st_size) or self._read(stream, str(called or path))
        except OSError:
            whole = False
        if not whole:
            self.unread.add(str(called or path))

    def _read(self, stream: IO[bytes], place: str, left: int | None = None) -> bool:
        """Looks into all of a stream, or into `left` bytes of it, piece by piece. Whether it came to the end."""
        last = b""
        while left != 0 and (piece := stream.read(PIECE if left is None else min(left, PIECE))):
            self._seen(last + piece, place)
            last = piece[-self._longest :]
            left = None if left is None else left - len(piece)
            if self._is_late():
                return False
        return not left

    def _seen(self, content: bytes, place: str) -> None:
        self.found |= {Found(whose=name, place=place) for name, needle in self._needles if needle in content}

    def _repository(self, git: Path, folder: Path) -> None:
        """Every object of a repository, also what no branch holds any more. git is asked for bytes and runs no filter."""
        listed = ("cat-file", "--batch-all-objects", "--batch", "--unordered", "--buffer")
        quiet = {"PATH": os.environ.get("PATH", ""), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        ended = False
        try:
            with subprocess.Popen(  # noqa: S603  (git, without a shell)
                [*_GIT, f"--git-dir={git}", *listed],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=quiet,
            ) as process:
                watch = threading.Timer(max(0.0, self._deadline - time.monotonic()), process.kill)
                watch.start()
                try:
                    assert process.stdout is not None
                    ended = self._objects(process.stdout, folder) and process.wait() == 0
                finally:
                    watch.cancel()
                    process.kill()
        except (OSError, ValueError):  # a git that says something else than it should, for another
            ended = False
        if not ended:
            self.unread.add(f"{git} (not to its end)")

    def _objects(self, stream: IO[bytes], folder: Path) -> bool:
        """Each object that `git cat-file --batch` gives: a line with its name, kind and length, its content, a line end."""
        while header := stream.readline(_LONGEST_HEAD):
            name, _, size = header.decode("ascii", "replace").split()
            if not self._read(stream, f"{folder} (git object {name[:12]})", int(size)):
                return False
            stream.readline(_LONGEST_HEAD)
        return True


def _is_repository(names: Collection[str], files: Collection[str]) -> bool:
    """Whether a folder is what git keeps its objects in, under whatever name."""
    return "HEAD" in files and {"objects", "refs"} <= set(names)


def _spelled(secret: str) -> frozenset[bytes]:
    """How a secret may stand in a file; nothing where it is too short. Of a key of many lines its longest one counts: files
    indent them, and end them in other ways.
    """
    line = max(secret.splitlines() or [""], key=len)
    raw = secret.encode("utf-8", "surrogatepass")
    if len(line) < _SHORTEST:
        return frozenset()
    quoted = {
        line,
        *(quote(line, safe=safe, errors="surrogatepass") for safe in ("", "/")),
        json.dumps(line)[1:-1],
        json.dumps(line)[1:-1].replace("/", r"\/"),
        _SPECIAL.sub(r"\\\g<0>", line),
    }
    texts = {one.encode("utf-8", "surrogatepass") for one in quoted}
    return frozenset({*texts, line.encode("utf-16-le", "surrogatepass"), b64encode(raw), b64encode(raw + b"\n")})


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False
