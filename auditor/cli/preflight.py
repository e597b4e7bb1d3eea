"""`auditor preflight`: for the start of a bot: whether its key can do no more than it should, and only from its own address."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditor.cli import _options, _passphrase, _voice
from auditor.errors import CredentialError

if TYPE_CHECKING:
    from auditor.bots import Verdict
    from auditor.config import AccountConfig
    from auditor.credentials import Sources

NOT_OK = 20
_HELP = """Say whether the keys of an account can do no more than they should, and only from addresses they are bound to.

Exits with 0 if so, else with 20 and a line for each reason. What cannot be seen is a reason.

\b
Example:
  auditor preflight grid-bot --allow read,trade && ./bot
"""


@click.command("preflight", help=_HELP)
@click.argument("account")
@click.option(
    "--allow",
    "allow",
    multiple=True,
    default=("read",),
    show_default=True,
    metavar="WORDS",
    help="What the key may do: read, trade, transfer, withdraw, manage.",
)
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration file (default: ./auditor.yaml, then the XDG folder).",
)
@click.option(
    "--allow-endpoint",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A host beyond this machine that an endpoint may name.",
)
@_passphrase.option
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(account: str, allow: tuple[str, ...], config_path: Path | None, hosts: tuple[str, ...], form: str) -> int:
    from auditor import bots

    words = bots.allowed(",".join(allow))
    settings = _options.settings(config_path, hosts)
    (chosen,) = _options.confirmed(settings.select([account]), ask=form == "text")
    verdicts = _verdicts(chosen, _options.sources(settings), words)
    ok = all(verdict.ok for verdict in verdicts)
    if form == "json":
        _voice.result(_spelled(chosen, verdicts))
    elif not ok:
        _voice.result("\n".join(_lines(verdicts)))
    else:
        _voice.say(f"ok: no more than {', '.join(sorted(words | {'read'}))}, and bound to an address")
    return 0 if ok else NOT_OK


def _verdicts(account: AccountConfig, sources: Sources, words: frozenset[str]) -> list[Verdict]:
    """One for each key of the account."""
    import asyncio

    from auditor import bots, collect

    if not account.credentials:
        raise CredentialError(f"{account.name}: no key is configured", hint="add credentials to the account")
    held = [sources.resolve(block, account=account.name) for block in account.credentials]
    if collect.needs_confirmation(account) is not None:
        return [bots.judge(bots.unread(collect.UNCONFIRMED), words, account.exchange) for _ in held]

    async def read() -> list[Verdict]:
        found = [await bots.facts_of(account.exchange, one, endpoint=account.endpoint) for one in held]
        return [bots.judge(facts, words, account.exchange) for facts in found]

    return asyncio.run(read())


def _lines(verdicts: Sequence[Verdict]) -> list[str]:
    several = len(verdicts) > 1
    return [
        f"key {number}: {reason}" if several else reason
        for number, verdict in enumerate(verdicts, 1)
        for reason in verdict.reasons
    ]


def _spelled(account: AccountConfig, verdicts: Sequence[Verdict]) -> str:
    keys = [{"ok": one.ok, "reasons": list(one.reasons), "facts": dict(one.facts)} for one in verdicts]
    told = {"account": account.name, "exchange": account.exchange, "ok": all(one.ok for one in verdicts), "keys": keys}
    return json.dumps(told, indent=1, ensure_ascii=True)
