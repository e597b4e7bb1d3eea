"""Collects the evidence of all accounts at once: credentials to doors, doors to connectors, sheets to snapshots.

A call, an endpoint or an account that fails becomes a problem with a reason, and the run goes on. Only a credential that
cannot be read stops it, before anything is sent.
"""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import datetime
from types import MappingProxyType
from typing import Any

from auditor import attestations, credentials, snapshots
from auditor.config import AccountConfig
from auditor.errors import CredentialError
from auditor.exchanges import _funds, _load, _venue
from auditor.exchanges._base import UNSTORED, Connector, Sheet
from auditor.exchanges._budget import SHARE
from auditor.exchanges._transport import Venue
from auditor.identity import Identity
from auditor.model.evidence import Problem, Reason, Snapshot
from auditor.redaction import Secret, masked_id, scrub

ACCOUNT_DEADLINE = 900.0
"""Seconds all calls of one key may take together; what was seen by then counts."""

MOST_AT_ONCE, FEWEST_AT_ONCE = 400, 8
"""Accounts that are read at the same time: of all venues, and of one. A deadline must not pass in our own queue."""
MOST_CONNECTIONS = 800
"""Of all venues together: below the 1,024 files that a process may open. Two an account: a request that was let through by its
budget should not wait for a connection, and go out together with those of the next window.
"""
_DEADLINES_MARGIN = 4
_NEW_OBJECTS = 50_000
"""After so many the garbage collector looks for cycles."""
_SHOWN = ("api_keys", "addresses")

Progress = Callable[[str, int, int], None]
"""Called with an account's name, how many are done, and how many there are."""
Keep = Callable[[Snapshot], None]


def collect(  # noqa: PLR0913  (what meets here)
    accounts: Sequence[AccountConfig],
    *,
    stated: Mapping[str, attestations.Attestation],
    identity: Identity,
    sources: credentials.Sources,
    now: datetime,
    progress: Progress = lambda _name, _done, _all: None,
    keep: Keep = lambda _snapshot: None,
    had: Mapping[str, Snapshot] = MappingProxyType({}),
    meanwhile: Callable[[], object] = lambda: None,
) -> list[Snapshot]:
    """One snapshot an account, in the order given. `stated` is account name -> what its owner attested.

    `keep` gets each account's evidence as it comes; `had` are accounts, by name, that need not be asked. `meanwhile` is
    called in a thread, once there are answers to wait for.
    """
    wanted = [one for one in accounts if one.name not in had]

    def made(account: AccountConfig, sheets: Sequence[Sheet]) -> Snapshot:
        said = stated.get(account.name)
        built = _configured(account, snapshots.build(account.name, account.exchange, sheets, said, identity, now))
        keep(built)
        return built

    with _undisturbed():
        secrets = _secrets(wanted, sources)
        found = {**had, **asyncio.run(_snapshots(wanted, secrets, now, made, progress, meanwhile))}
    return snapshots.suspect_incidents([found[one.name] for one in accounts])


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Python looks for garbage after every 700 new objects, and here nearly all of them are kept: a quarter of the time."""
    before = gc.get_threshold()
    if before[0] == 0 or before[0] >= _NEW_OBJECTS:  # it is off, or somebody beside us has set it
        yield
        return
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _configured(account: AccountConfig, snapshot: Snapshot) -> Snapshot:
    """The snapshot with what the configuration says of the account."""
    snapshot = snapshots.asked(snapshot) if "balances" in account.include else snapshot
    counted = account.expected_keys
    return snapshots.counted(snapshot, counted.count, counted.as_of.isoformat()) if counted else snapshot


def _secrets(accounts: Sequence[AccountConfig], sources: credentials.Sources) -> dict[str, list[dict[str, Secret]]]:
    """Every credential of every account, or one CredentialError that names all that cannot be read."""
    found: dict[str, list[dict[str, Secret]]] = {}
    failed: list[CredentialError] = []
    for one in accounts:
        for block in one.credentials:
            try:
                held = sources.resolve(block, account=one.name)
            except CredentialError as error:
                failed.append(error)
            else:
                found.setdefault(one.name, []).append(held)
    if failed:
        raise CredentialError("\n".join(error.message for error in failed), hint=failed[0].hint)
    return found


async def _snapshots(
    accounts: Sequence[AccountConfig],
    secrets: Mapping[str, list[dict[str, Secret]]],
    now: datetime,
    made: Callable[[AccountConfig, Sequence[Sheet]], Snapshot],
    progress: Progress,
    meanwhile: Callable[[], object],
) -> dict[str, Snapshot]:
    """Account name -> what was made of its keys' sheets. Accounts of one venue at one address share connections and budgets."""
    found: dict[str, Snapshot] = {}

    def done(account: AccountConfig, sheets: Sequence[Sheet]) -> None:
        found[account.name] = made(account, sheets)
        progress(account.name, len(found), len(accounts))

    async def reader(venue: Venue, waiting: Iterator[AccountConfig]) -> None:
        for account in waiting:
            done(account, await _keys_of(venue, secrets[account.name], account.include, now))

    places: dict[tuple[str, str | None], list[AccountConfig]] = {}
    for account in accounts:
        unread = _why_unread(account, secrets)
        if unread is not None:
            done(account, [_unread(unread, account.include)])
        else:
            places.setdefault((account.exchange, account.endpoint), []).append(account)
    async with AsyncExitStack() as stack:
        opened: list[tuple[Venue, Iterator[AccountConfig]]] = []
        for (exchange, endpoint), its_accounts in places.items():
            connector = _load.connector(exchange)
            assert connector is not None
            together = min(in_flight(connector), max(FEWEST_AT_ONCE, MOST_AT_ONCE // len(places)))
            venue = Venue(
                connector, endpoint=endpoint, connections=max(FEWEST_AT_ONCE, MOST_CONNECTIONS // len(places))
            )
            waiting = iter(its_accounts)
            opened += [(await stack.enter_async_context(venue), waiting)] * min(together, len(its_accounts))
        beside = asyncio.create_task(asyncio.to_thread(meanwhile)) if opened else None
        await asyncio.gather(*[reader(venue, waiting) for venue, waiting in opened])
        if beside is not None:
            await beside
    return found


def in_flight(connector: Connector) -> int:
    """How many accounts of a venue are read at once: one after the other they come to an end, so that what was seen can be
    kept; too many that share a slow limit would pass their deadline in the queue.
    """
    shared = [one.limit for one in connector.endpoints if one.limit.per != "key" and not one.public]
    slowest = min((SHARE * limit.calls / limit.seconds for limit in shared), default=math.inf)
    bound = slowest * ACCOUNT_DEADLINE / _DEADLINES_MARGIN / max(1, len(connector.endpoints))
    return int(min(MOST_AT_ONCE, max(FEWEST_AT_ONCE, bound)))


async def _keys_of(
    venue: Venue, secrets: Sequence[Mapping[str, Secret]], asked: frozenset[str], now: datetime
) -> list[Sheet]:
    """A sheet for each key of one account, and one for what was asked for beside, with none of the account's secrets on any."""
    if len(secrets) == 1:  # a task more for each of thousands of accounts would be felt
        sheets = [await _one_key(venue.connector, venue, secrets[0])]
    else:
        sheets = await asyncio.gather(*[_one_key(venue.connector, venue, held) for held in secrets])
    if asked:
        sheets.append(await _funds_of(venue, list(zip(secrets, sheets, strict=True)), asked, now))
    own = [secret for held in secrets for secret in held.values()]
    for sheet in sheets:
        _clean(sheet, own)
    return sheets


async def _funds_of(
    venue: Venue, keys: Sequence[tuple[Mapping[str, Secret], Sheet]], asked: frozenset[str], now: datetime
) -> Sheet:
    """What the account holds and what left it, by the first of its keys that shows all of it; else by the one that shows most."""
    known = next((sheet.account_id for _, sheet in keys if sheet.account_id is not None), None)
    best: Sheet | None = None
    for held, shown in keys:
        if shown.account_id not in {None, known}:
            continue
        sheet = Sheet(account_id=shown.account_id)
        await _guarded(
            sheet, _funds.read(_load.funds(venue.connector), venue.key(held), sheet, asked, now), _funds.shows(asked)
        )
        if best is None or len(sheet.problems) < len(best.problems):
            best = sheet
        if not best.problems:
            break
    assert best is not None, "an account that is read has a key"
    return best


def _why_unread(account: AccountConfig, secrets: Mapping[str, list[dict[str, Secret]]]) -> str | None:
    """Why nothing is asked about an account, or None where it is."""
    if _load.connector(account.exchange) is None:
        return "the exchange offers no API that is read here"
    if account.name not in secrets:
        return "no key is configured"
    return "nothing was sent: " + UNCONFIRMED if needs_confirmation(account) is not None else None


UNCONFIRMED = (
    "the exchange switches off a key that is used from an address it does not know. Confirm that this machine's address is "
    "on the key's list: `address_confirmed: true` in the account, or answer the question of `auditor audit`"
)


def needs_confirmation(account: AccountConfig) -> str | None:
    """What the owner has to confirm before the keys of this account are used for the first time, or None."""
    if account.address_confirmed or not account.credentials:
        return None
    return _venue.load(account.exchange).warn_before_first_call


def _unread(detail: str, asked: frozenset[str]) -> Sheet:
    """Nothing was read, and why. What its owner asked for beside is missed, and not merely left out."""
    sheet = Sheet()
    sheet.problems.append(Problem(endpoint="credentials", reason=Reason.NOT_COLLECTED, detail=detail, facts=_SHOWN))
    if asked:
        missed = f"asked for, and not read: {detail}"
        lost = _funds.shows(asked)
        sheet.problems.append(Problem(endpoint="include", reason=Reason.NOT_EXPOSED, detail=missed, facts=lost))
    return sheet


async def one_key(
    connector: Connector, held: Mapping[str, Secret], *, endpoint: str | None = None, others: Sequence[Secret] = ()
) -> Sheet:
    """The sheet of one key alone, over a connection of its own. `others` are secrets that must not appear on it either."""
    async with Venue(connector, endpoint=endpoint) as venue:
        sheet = await _one_key(connector, venue, held)
    _clean(sheet, [*held.values(), *others])
    return sheet


async def _one_key(connector: Connector, venue: Venue, held: Mapping[str, Secret]) -> Sheet:
    """The sheet of one key."""
    sheet = Sheet()
    await _guarded(sheet, connector.collect(venue.key(held), sheet), _SHOWN)
    for row in sheet.rows["api_key"] or []:
        if row.get("is_audit_key") and "public_id" not in row and "apiKey" in held:
            row["public_id"] = held["apiKey"].reveal()
    return sheet


async def _guarded(sheet: Sheet, reading: Awaitable[None], lost: tuple[str, ...]) -> None:
    """A bug of ours in a connector costs this account's evidence (`lost`), never the run."""
    try:
        async with asyncio.timeout(ACCOUNT_DEADLINE):
            await reading
    except TimeoutError:
        detail = f"the account was not read within {ACCOUNT_DEADLINE:g} seconds"
        sheet.problems.append(Problem(endpoint="account", reason=Reason.TIMEOUT, detail=detail, facts=lost))
    except Exception as error:  # noqa: BLE001  (one account's bug must not take the others' evidence with it)
        detail = f"our reader failed ({type(error).__name__}); please report it"
        sheet.problems.append(Problem(endpoint="account", reason=Reason.MALFORMED_RESPONSE, detail=detail, facts=lost))


def _clean(sheet: Sheet, own: Sequence[Secret]) -> None:
    """Takes out of every text what the exchange, or whoever wrote a label, may have repeated in it: a credential of the
    account, or the whole public id of a key.
    """
    tables = [sheet.account, sheet.venue, *(row for rows in sheet.rows.values() for row in rows or ())]
    texts = [_text_of(table) for table in tables]
    whole = "\n".join(texts)  # what is clean in one piece is clean in each, and that is nearly always so
    clean = scrub(whole, of=own) == whole
    for table, text in zip(tables, texts, strict=True):
        public_id = table.get("public_id")
        if (public_id and public_id in text) or (not clean and scrub(text, of=own) != text):
            for name in table.keys() - UNSTORED:
                table[name] = _cleaned(table[name], own, public_id)


def _text_of(table: Mapping[str, Any]) -> str:
    kept = [value for name, value in table.items() if isinstance(value, (str, list)) and name not in UNSTORED]
    return "\n".join(_texts(kept))


def _texts(values: Sequence[Any]) -> list[str]:
    found = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            found += _texts(value)
    return found


def _cleaned(value: Any, own: Sequence[Secret], public_id: str | None) -> Any:
    if isinstance(value, list):
        return [_cleaned(item, own, public_id) for item in value]
    if not isinstance(value, str):
        return value
    return scrub(value.replace(public_id, masked_id(public_id)) if public_id else value, of=own)
