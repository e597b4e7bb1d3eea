"""`auditor.yaml` as a value: read, checked whole, every fault at once with file, line and hint.

Knows which exchanges exist and what they need only from its caller. It never resolves a credential, and never shows
what stands in a place where a secret might have been written: not in a message, not in a repr.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor import credentials, endpoints, yamlio
from auditor.errors import Fault, InputError, UsageError
from auditor.model.facts import parse_time
from auditor.model.settings import OPT_IN, AccountConfig, Config, ExpectedKeys, close

__all__ = ["NAME", "AccountConfig", "Config", "ExpectedKeys", "find", "load"]

NAME = "auditor.yaml"
_ROOT_KEYS = ("version", "accounts", "rules", "shipped_rules", "waivers", "vault", "identity_key", "history",
              "notify")  # fmt: skip
_ACCOUNT_KEYS = ("name", "exchange", "credentials", "endpoint", "attestations", "tags", "expected_keys",
                 "address_confirmed", "include")  # fmt: skip
_ACCOUNT_NAME = re.compile(r"[a-z0-9-]{1,64}")
_PATH = re.compile(r"[^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,1023}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=-]{0,63}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_SHOWABLE = re.compile(r"[A-Za-z_-]{1,24}")  # a misspelt key; a secret in the place of one has digits or is longer
_HISTORY = re.compile(r"(sqlite:///|postgresql(\+[a-z0-9]+)?://)[^\x00-\x20\x7f]{1,1023}")
_NOTICE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://[^\x00-\x20\x7f]{1,1023}")
_MOST_KEYS = 100_000
_MOST_GUESSES = 200


def find(explicit: Path | None, *, cwd: Path, environ: Mapping[str, str]) -> Path:
    """The configuration to read: the named one, ./auditor.yaml, or the one in the XDG folder. Raises UsageError."""
    if explicit is not None:
        return cwd / credentials.expand(str(explicit), environ)
    folders = [_xdg(environ, "XDG_CONFIG_HOME", ".config"), credentials.expand("~/.config", environ)]
    places = dict.fromkeys([cwd, *(folder / "auditor" for folder in folders)])
    for place in places:
        if (place / NAME).is_file():
            return place / NAME
    hint = "`auditor init` writes one; `auditor demo` shows a report without one"
    raise UsageError(f"no {NAME} in {', '.join(map(str, places))}", hint=hint)


def load(
    path: Path,
    *,
    venues: Mapping[str, tuple[str, ...]],
    environ: Mapping[str, str],
    allowed_endpoints: frozenset[str] = frozenset(),
) -> Config:
    """The configuration in `path`. Raises InputError with every fault.

    `venues` maps each known exchange to the credential fields it needs (none: an exchange without an API);
    `allowed_endpoints` are the hosts beyond loopback that an account's endpoint may name.
    """
    reading = _Reading(yamlio.read(path), path.absolute().parent, venues, environ, allowed_endpoints)
    config = reading.config(path)
    if reading.faults:
        raise InputError(reading.faults)
    return config


def _xdg(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    named = environ.get(variable, "")
    return Path(named) if named.startswith("/") else credentials.expand(f"~/{fallback}", environ)


@dataclass(slots=True)
class _Reading:
    """One pass over one document. It goes on after a fault, so that one reading mends the file."""

    document: yamlio.Document
    base: Path
    venues: Mapping[str, tuple[str, ...]]
    environ: Mapping[str, str]
    allowed: frozenset[str]
    faults: list[Fault] = field(default_factory=list)

    def fault(self, message: str, *path: str | int, hint: str | None = None) -> None:
        self.faults.append(self.document.fault(message, *path, hint=hint))

    def config(self, path: Path) -> Config:
        table = self.table(self.document.value, _ROOT_KEYS, "the configuration")
        version = table.get("version")
        if isinstance(version, bool) or version != 1:
            self.fault("version must be 1", "version", hint="begin the file with `version: 1`")
        if not isinstance(table.get("shipped_rules", True), bool):
            self.fault("shipped_rules must be true or false", "shipped_rules")
        return Config(
            path=path.absolute(),
            accounts=self.accounts(table),
            rules=tuple(filter(None, (self.path(row, "rules", at) for at, row in self.items(table, "rules")))),
            shipped_rules=table.get("shipped_rules", True) is not False,
            waivers=self.path(table["waivers"], "waivers") if "waivers" in table else None,
            **self.vault(table),
            identity_key=self.identity_key(table),
            history=self.history(table),
            notify=tuple(self.notice(row, at) for at, row in self.items(table, "notify")),
        )

    def table(self, value: Any, known: tuple[str, ...], what: str, *path: str | int) -> dict[str, Any]:
        """A mapping with these keys; whatever else stands there is a fault, and {} is gone on with."""
        if not isinstance(value, dict):
            self.fault(f"{what} must be a mapping: {', '.join(known)}", *path)
            return {}
        for key in value.keys() - set(known):
            shown = f" {key}" if _SHOWABLE.fullmatch(key) else " (not shown)"
            guess = close(key, known) if len(self.faults) < _MOST_GUESSES else None
            self.fault(f"unknown key{shown} in {what}", *path, key, hint=guess or f"the keys are: {', '.join(known)}")
        return value

    def items(self, table: dict[str, Any], *path: str | int) -> list[tuple[int, Any]]:
        """The numbered rows of the list that ends `path`; none where it is left out."""
        value = table.get(str(path[-1]), [])
        if isinstance(value, list) and len(value) <= _MOST_KEYS:
            return list(enumerate(value))
        self.fault(f"{path[-1]} must be a list of at most {_MOST_KEYS}", *path)
        return []

    def path(self, value: Any, *path: str | int) -> Path | None:
        if not isinstance(value, str) or not _PATH.fullmatch(value):
            self.fault("this is not a path", *path)
            return None
        return self.base / credentials.expand(value, self.environ)

    def accounts(self, table: dict[str, Any]) -> tuple[AccountConfig, ...]:
        if table.get("accounts", []) == []:
            self.fault("there is no account", "accounts", hint="`auditor init` writes the first one")
        read = [self.account(row, at) for at, row in self.items(table, "accounts")]
        times = Counter(account.name for account in read if account.name)
        for at, account in enumerate(read):
            if times[account.name] > 1:
                self.fault(f"the name {account.name} stands {times[account.name]} times", "accounts", at, "name")
        return tuple(read)

    def account(self, row: Any, at: int) -> AccountConfig:
        here = ("accounts", at)
        table = self.table(row, _ACCOUNT_KEYS, "an account", *here)
        name, exchange = self.name(table, *here), self.exchange(table, *here)
        blocks = self.blocks(table["credentials"], exchange, *here, "credentials") if "credentials" in table else []
        usual = default_attestations(self.base, name) if name else None
        usual = usual if usual and usual.is_file() else None
        return AccountConfig(
            name=name,
            exchange=exchange,
            credentials=tuple(blocks),
            endpoint=self.endpoint(table, *here),
            attestations=self.path(table["attestations"], *here, "attestations") if "attestations" in table else usual,
            tags=tuple(self.tag(row, *here, "tags", number) for number, row in self.items(table, *here, "tags")),
            expected_keys=self.expected_keys(table, *here),
            address_confirmed=self.flag(table, *here, "address_confirmed"),
            include=frozenset(
                self.opt_in(one, *here, "include", at) for at, one in self.items(table, *here, "include")
            ),
        )

    def name(self, table: dict[str, Any], *here: str | int) -> str:
        value = table.get("name")
        if isinstance(value, str) and _ACCOUNT_NAME.fullmatch(value):
            return value
        hint = "1 to 64 of a-z, 0-9 and -, such as main-okx"
        self.fault("an account needs a name" if value is None else "this is no account name", *here, "name", hint=hint)
        return ""

    def exchange(self, table: dict[str, Any], *here: str | int) -> str:
        value = table.get("exchange")
        if isinstance(value, str) and value in self.venues:
            return value
        named = isinstance(value, str) and bool(re.fullmatch("[A-Za-z0-9_-]{1,32}", value))
        guess = close(str(value).lower(), self.venues) if named and len(self.faults) < _MOST_GUESSES else None
        message = f"unknown exchange {value}" if named else "an account needs the id of an exchange"
        self.fault(message, *here, "exchange", hint=guess or "`auditor exchanges` lists them")
        return ""

    def blocks(self, value: Any, exchange: str, *here: str | int) -> list[dict[str, str]]:
        if self.venues.get(exchange) == ():
            hint = "leave credentials out; `auditor attest` asks for what the owner can see"
            self.fault(f"{exchange} is audited without credentials", *here, hint=hint)
            return []
        if not isinstance(value, list) or not value:
            return [self.block(value, exchange, *here)]
        return [self.block(block, exchange, *here, at) for at, block in enumerate(value)]

    def block(self, value: Any, exchange: str, *here: str | int) -> dict[str, str]:
        """One key's references. Nothing that stands here is ever shown, not even an unknown field."""
        needed = self.venues.get(exchange) or tuple(credentials.FIELDS)
        if not isinstance(value, dict) or not value:
            hint = f"write {needed[0]}: and so on below it, each with {credentials.SPELLING}"
            self.fault("credentials must be fields with references (what stands there is not shown)", *here, hint=hint)
            return {}
        for key in value.keys() - set(needed):
            hint = close(key, needed) or f"the fields are: {', '.join(needed)}"
            hint = "a space is missing after the colon" if ":" in key else hint
            self.fault("unknown credential field (not shown)", *here, key, hint=hint)
        for key in (key for key in needed if exchange and key not in value):
            self.fault(f"{exchange} needs the credential field {key}", *here)
        found = {}
        for key in (key for key in needed if key in value):
            variable = credentials.proposed_variable(exchange or "exchange", key)
            hint = f"write `{key}: env:{variable}` and keep the value there; also: {credentials.SPELLING}"
            found[key] = self.reference(value[key], f"{key} must be a reference", hint, *here, key)
        return found

    def reference(
        self, value: Any, message: str, hint: str, *path: str | int, also: re.Pattern[str] | None = None
    ) -> str:
        """A reference, or what `also` takes. The path of a `file:` becomes absolute; what is refused is not shown."""
        if not isinstance(value, str) or not (credentials.is_reference(value) or (also and also.fullmatch(value))):
            self.fault(f"{message}; what stands there is not shown", *path, hint=hint)
            return ""
        kind, _, rest = value.partition(":")
        return f"file:{self.base / credentials.expand(rest, self.environ)}" if kind == "file" else value

    def flag(self, table: dict[str, Any], *path: str | int) -> bool:
        value = table.get(str(path[-1]), False)
        if not isinstance(value, bool):
            self.fault(f"{path[-1]} must be true or false", *path)
        return value is True

    def endpoint(self, table: dict[str, Any], *here: str | int) -> str | None:
        if "endpoint" not in table:
            return None
        value = table["endpoint"]
        problem = endpoints.fault(value, self.allowed) if isinstance(value, str) else "must be text"
        if problem:
            self.fault(f"endpoint {problem}", *here, "endpoint", hint="for example http://127.0.0.1:8123")
        return str(value).rstrip("/")

    def tag(self, value: Any, *here: str | int) -> str:
        if isinstance(value, str) and _TAG.fullmatch(value):
            return value
        self.fault("a tag is a short word", *here, hint="letters, digits and . _ : / = -, at most 64")
        return ""

    def opt_in(self, value: Any, *here: str | int) -> str:
        if value not in OPT_IN:
            self.fault("this cannot be asked for", *here, hint=f"of {' and '.join(OPT_IN)}, those that shall be read")
        return str(value)

    def expected_keys(self, table: dict[str, Any], *path: str | int) -> ExpectedKeys | None:
        if "expected_keys" not in table:
            return None
        here = (*path, "expected_keys")
        row = self.table(table["expected_keys"], ("count", "as_of"), "expected_keys", *here)
        count, as_of = row.get("count", -1), row.get("as_of")
        day = parse_time(as_of) if isinstance(as_of, str) and _DATE.fullmatch(as_of) else None
        counted = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MOST_KEYS
        if not counted:
            self.fault("count must be the number of keys, 0 or more", *here, "count")
        if day is None:
            self.fault("as_of must be the day they were counted", *here, "as_of", hint="for example 2026-11-01")
        return ExpectedKeys(count=int(count), as_of=day.date()) if counted and day else None

    def vault(self, table: dict[str, Any]) -> dict[str, Any]:
        row = self.table(table.get("vault", {}), ("file", "passphrase"), "vault", "vault")
        file = self.path(row["file"], "vault", "file") if "file" in row else None
        hint = f"write {credentials.SPELLING}; without one it is asked for"
        message = "passphrase must be a reference"
        kept = self.reference(row["passphrase"], message, hint, "vault", "passphrase") if "passphrase" in row else None
        return {"vault": file or default_vault(self.environ), "vault_passphrase": kept}

    def identity_key(self, table: dict[str, Any]) -> str:
        if "identity_key" not in table:
            return default_identity_key(self.environ)
        hint = f"write {credentials.SPELLING}"
        return self.reference(table["identity_key"], "identity_key must be a reference", hint, "identity_key")

    def history(self, table: dict[str, Any]) -> str:
        if "history" not in table:
            return f"sqlite:///{_xdg(self.environ, 'XDG_DATA_HOME', '.local/share') / 'auditor' / 'history.db'}"
        hint = "sqlite:///PATH, postgresql://HOST/DATABASE, or a reference to such an address"
        message = "history must be the address of a database"
        value = self.reference(table["history"], message, hint, "history", also=_HISTORY)
        place = value.removeprefix("sqlite:///")
        if place in {value, ":memory:"}:
            return value
        return f"sqlite:///{self.base / credentials.expand(place, self.environ)}"

    def notice(self, value: Any, at: int) -> str:
        hint = "an Apprise address such as json://localhost:9000/hook, or a reference to one"
        return self.reference(value, "this is not an address to notify", hint, "notify", at, also=_NOTICE)


def default_attestations(folder: Path, account: str) -> Path:
    """Where the attestations of an account are when the configuration does not say."""
    return folder / "attest" / f"{account}.yaml"


def default_vault(environ: Mapping[str, str]) -> Path:
    """Where the vault is when the configuration does not say."""
    return _xdg(environ, "XDG_CONFIG_HOME", ".config") / "auditor" / "vault.bin"


def default_identity_key(environ: Mapping[str, str]) -> str:
    """The reference to the identity key when the configuration does not say, or when there is none."""
    return f"file:{_xdg(environ, 'XDG_CONFIG_HOME', '.config') / 'auditor' / 'identity.key'}"
