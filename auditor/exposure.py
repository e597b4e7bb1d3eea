"""Looks on this machine, where its owner points: do the very secrets that this run holds lie about in plain text, and is a
package installed that is known to steal keys?

Exact: a secret is found where its bytes are, so that there is no false alarm. It is never shown, only the place is. What
was not looked at, or could not be read in time, proves nothing: this room says yes, and never no.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from auditor import yamlio
from auditor.redaction import Secret

PATIENCE = 60.0
"""Seconds for all of it."""
LARGEST = 8 * 2**20
"""Bytes of a file that is looked into; a larger one is no configuration and no script."""
_SHORTEST = 8
"""Characters of a secret that is looked for; a shorter one is found in anything."""
_HISTORIES = (
    *(".bash_history", ".zsh_history", ".sh_history", ".python_history", ".node_repl_history", ".psql_history"),
    ".local/share/fish/fish_history",
)
_INSTALLED = {"site-packages", "node_modules"}
_SKIPPED = {".git", ".hg", "__pycache__", ".cache", *_INSTALLED}
_NORMAL = re.compile(r"[-_.]+")
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Found:
    """A secret that lies in the open. `whose` is what the caller called it; `place` a path, or an object of a repository."""

    whose: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that is known to steal, from the dated list."""

    ecosystem: str
    name: str
    seen: str
    what: str
    source: str

    def is_called(self, name: str) -> bool:
        """Whether a package of this name is it."""
        if self.name.endswith("/*"):
            return name.startswith(self.name[:-1])
        return name == self.name


@dataclass(frozen=True, slots=True, kw_only=True)
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
    for place in [*places, *(path for name in _HISTORIES if home and (path := home / name).is_file())]:
        looking.into(place)
    return Exposure(
        secrets=tuple(sorted(looking.found)),
        packages=tuple(sorted(looking.packages, key=lambda pair: (pair[0].name, pair[1]))),
        readable=tuple(sorted(str(path) for path in private if _open_to_others(path))),
        unread=tuple(sorted(looking.unread)),
    )


@cache
def known_packages() -> tuple[Package, ...]:
    """The dated list of packages that steal."""
    rows = yamlio.read(Path(__file__).with_name("malicious_packages.yaml")).value["packages"]
    return tuple(Package(**{name: str(value) for name, value in row.items()}) for row in rows)


class _Looking:
    def __init__(self, held: Mapping[str, Secret], own: Collection[Path], deadline: float) -> None:
        needles = {name: secret.reveal().encode("utf-8", "surrogatepass") for name, secret in held.items()}
        self._needles = {name: _longest_line(needle) for name, needle in needles.items() if len(needle) >= _SHORTEST}
        self._own = {os.path.realpath(path) for path in own}
        self._deadline = deadline
        self.found: set[Found] = set()
        self.packages: set[tuple[Package, str]] = set()
        self.unread: set[str] = set()

    def into(self, place: Path) -> None:
        """Looks at a file, or at everything in a folder. Links are not followed out of it."""
        if place.is_file():
            self._file(place)
            return
        for folder, names, files in os.walk(place, onerror=lambda error: self.unread.add(str(error.filename))):
            here = Path(folder)
            self._installed(here, names)
            if ".git" in names or ".git" in files:
                self._repository(here)
            names[:] = sorted(set(names) - _SKIPPED)
            for name in sorted(files):
                self._file(here / name)
            if time.monotonic() > self._deadline:
                self.unread.add(f"{place} (not to its end: it is too large)")
                return

    def _file(self, path: Path) -> None:
        if os.path.realpath(path) in self._own:
            return
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                return
            self._seen(path.read_bytes(), str(path))
        except OSError:
            self.unread.add(str(path))

    def _seen(self, content: bytes, place: str) -> None:
        self.found |= {Found(whose=name, place=place) for name, needle in self._needles.items() if needle in content}

    def _installed(self, folder: Path, names: list[str]) -> None:
        """Packages by the folders that their installers make. Nothing of them is run or read."""
        inner = [folder / name for name in sorted(_INSTALLED & set(names))]
        for where in [folder, *inner] if folder.name in _INSTALLED else inner:
            for one in _folders(where):
                if where.name == "site-packages":
                    stem, _, _ = one.name.partition(
                        "-"
                    )  # a wheel's name has underscores where its project's has dashes
                    self._package("pypi", _NORMAL.sub("-", stem).lower(), where)
                elif one.name.startswith("@"):
                    for scoped in _folders(one):
                        self._package("npm", f"{one.name}/{scoped.name}", where)
                else:
                    self._package("npm", one.name, where)

    def _package(self, ecosystem: str, name: str, where: Path) -> None:
        self.packages |= {
            (one, str(where)) for one in known_packages() if one.ecosystem == ecosystem and one.is_called(name)
        }

    def _repository(self, folder: Path) -> None:
        """Every object of a repository, also what no branch holds any more. git is asked for bytes and runs no filter."""
        command = [
            *_GIT,
            f"--git-dir={folder / '.git'}",
            "cat-file",
            "--batch-all-objects",
            "--batch",
            "--unordered",
            "--buffer",
        ]
        quiet = {"PATH": os.environ.get("PATH", ""), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        try:
            with subprocess.Popen(  # noqa: S603  (git, without a shell)
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=quiet
            ) as process:
                assert process.stdout is not None
                ended = self._objects(process.stdout, folder) and process.wait() == 0
                process.kill()
        except OSError:
            ended = False
        if not ended:
            self.unread.add(f"{folder / '.git'} (not to its end)")

    def _objects(self, stream: IO[bytes], folder: Path) -> bool:
        for name, content in _batch(stream):
            self._seen(content, f"{folder} (git object {name[:12]})")
            if time.monotonic() > self._deadline:
                return False
        return True


def _batch(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each object that `git cat-file --batch` gives; what is too large comes without its content."""
    while header := stream.readline():
        name, _, size = header.decode("ascii", "replace").split()
        left, content = int(size), b""
        while left > 0:
            chunk = stream.read(min(left, LARGEST))
            if not chunk:
                return
            left -= len(chunk)
            content = chunk if int(size) <= LARGEST else b""
        stream.readline()
        yield name, content


def _folders(where: Path) -> list[Path]:
    try:
        return sorted(one for one in where.iterdir() if one.is_dir())
    except OSError:
        return []


def _longest_line(needle: bytes) -> bytes:
    """Of a key of many lines its longest one: files indent them, and end them in other ways."""
    return max(needle.splitlines() or [b""], key=len)


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False
