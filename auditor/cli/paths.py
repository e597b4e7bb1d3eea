"""`auditor paths`: how an attacker gets to the money, as chains, and which changes close the way; `--what-if` tries one out.

Knows where evidence comes from and how to show an answer; what is open, and what closes it, is the business of `threats`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor.cli import _options, _suppose, _voice
from auditor.errors import UsageError
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.config import Config
    from auditor.engine.intake import Evidence
    from auditor.model.evidence import Snapshot
    from auditor.model.report import Report
    from auditor.threats import Analyst

_HELP = """How an attacker gets from a phone number, a mailbox or a stolen key to the money of ACCOUNT (all accounts without
it), and the smallest set of changes that closes the way.

Looks at the newest stored run of each account, and collects where none is stored.

\b
Examples:
  auditor paths main-okx
  auditor paths main-okx --what-if account.step_up_weakest_factor=phishing_resistant
  auditor paths --evidence evidence.jsonl -f json
"""


@click.command("paths", help=_HELP)
@click.argument("account", required=False)
@click.option("--evidence", "files", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Evidence documents instead: .json, .yaml, .jsonl or .parquet. Repeatable.")  # fmt: skip
@click.option("--what-if", "supposed", multiple=True, metavar="FACT=VALUE", help="As if this were so, of the account or of all its keys. Repeatable.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="Actions and changes of your own beside the shipped model. Repeatable.")  # fmt: skip
@click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="Every way, and what each step rests on.")
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file.")
@click.option(
    "--allow-endpoint",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A host beyond this machine that an endpoint may name.",
)
def command(account: str | None, **options: Any) -> int:
    from auditor import threats
    from auditor.engine.intake import Evidence

    now = datetime.now(UTC)
    facts = _suppose.facts(options["supposed"])
    analyst = threats.analyst(*options["models"])
    with Evidence(now) as evidence:
        if options["files"]:
            evidence.add_files(options["files"])
        else:
            evidence.add(one.to_document() for one in _snapshots(account, options, now))
        documents = _named(evidence, account)
        before = _judged(documents, analyst, now)
        after = _judged(_changed(documents, facts, now), analyst, now) if facts else None
    _show(before, after, facts, analyst, options)
    return 0


def _show(
    before: Report, after: Report | None, facts: Mapping[str, Any], analyst: Analyst, options: Mapping[str, Any]
) -> None:
    from auditor.cli import _ways
    from auditor.reports._lines import Page

    if options["form"] == "json":
        _voice.result(_ways.as_json(before, after, facts, analyst))
        return
    width, colour = _options.terminal()
    page = Page(width=width)
    _ways.write(page, before, after, facts, analyst, verbose=options["verbose"])
    _voice.result((page.coloured() if colour else page.plain()).encode())


def _named(evidence: Evidence, account: str | None) -> list[dict[str, Any]]:
    """The documents of an evidence file, or of the one account in it that is meant."""
    import difflib

    from auditor.threats import what_if

    documents = what_if.documents(evidence)
    names = sorted({str(one["account"]["name"]) for one in documents})
    chosen = [one for one in documents if account is None or one["account"]["name"] == account]
    if not chosen:
        close = difflib.get_close_matches(str(account)[:64], names, 1)
        hint = f"did you mean {close[0]}?" if close else f"the accounts are: {', '.join(names[:20])}"
        raise UsageError(f"there is no evidence of {printable(str(account), limit=64)}", hint=hint)
    return chosen


def _policies(documents: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    from auditor.exchanges import _venue

    named = {str(one["account"]["exchange"]) for one in documents}
    return {name: _venue.load(name).policy_facts() for name in sorted(named & set(_venue.ids()))}


def _changed(documents: Sequence[dict[str, Any]], facts: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    from auditor.engine.intake import Evidence
    from auditor.threats import what_if

    return what_if.supposed(documents, facts, Evidence(now), _policies(documents))


def _judged(documents: Sequence[dict[str, Any]], analyst: Analyst, now: datetime) -> Report:
    from auditor import pipeline
    from auditor.engine.intake import Evidence
    from auditor.identity import Identity

    run = pipeline.Run(rules=(), identity=Identity.of_this_run(), now=now, analyst=analyst)
    with Evidence(now).add(documents) as evidence:
        return pipeline.judge(evidence, run)


def _snapshots(account: str | None, options: Mapping[str, Any], now: datetime) -> Sequence[Snapshot]:
    """What is known of the configured accounts: from the newest run of each, with the answers given since, else collected."""
    from auditor import collect, identity, pipeline

    settings = _options.settings(options["config_path"], options["hosts"])
    chosen = settings.select([account] if account else [])
    stored = _stored(settings, [one.name for one in chosen])
    fresh = _options.confirmed([one for one in chosen if one.name not in stored], ask=True)
    kept = [one for one in chosen if one.name in stored]
    snapshots = pipeline.with_answers(settings, kept, [stored[one.name] for one in kept], now)
    if not fresh:
        return snapshots
    stated = pipeline.attested(settings, fresh, now)
    whose = identity.load(settings.identity_key, environ=os.environ)
    sources = _options.sources(settings)
    tell = _voice.Progress({one.name: one.exchange for one in fresh})
    collected = collect.collect(fresh, stated=stated, identity=whose, sources=sources, now=now, progress=tell)
    return [*snapshots, *collected]


def _stored(settings: Config, names: Sequence[str]) -> dict[str, Snapshot]:
    """The evidence of the newest run of each account that has one. What was tampered with is said, and not believed."""
    from auditor import memory
    from auditor.history import runs
    from auditor.history.store import NoHistoryError

    found = {}
    try:
        with memory.open_store(settings, _options.sources(settings)).reading() as view:
            for name in names:
                past, wrong = runs.past(view, name)
                for error in wrong:
                    _voice.complain(error)
                if past is not None and past.snapshot is not None:
                    found[name] = past.snapshot
                    _voice.say(
                        f"{name}: as of {past.snapshot.collected_at:%Y-%m-%d %H:%M} UTC, with what you stated since"
                    )
    except NoHistoryError:
        return {}
    return found
