"""`auditor attest`: asks the owner what no API can show, most valuable answer first, and keeps dated, expiring answers.

Knows how to ask and how to understand an answer; which questions are worth asking is the pipeline's business.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from auditor import attestations, config
from auditor.answers import added, placed
from auditor.cli import _options
from auditor.cli._voice import say
from auditor.errors import AuditorError, UsageError
from auditor.model.facts import Fact, catalogue, format_time, parse_time, suggestion
from auditor.model.normalise import COUNT_HOLDS
from auditor.model.report import Question
from auditor.redaction import printable

_YES, _NO = {"y", "yes", "true"}, {"n", "no", "false"}
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_LONGEST = 500
_HOLDS = {"account.keys_counted": COUNT_HOLDS.days}
"""Answers that count for fewer days than others, whatever was asked for."""
_HELP = """Answer what no API can show about ACCOUNT (all accounts without it).

The question that moves the score and decides ways to the money most comes first; what decides nothing important is asked
with --all only. Answers are dated, expire, and are kept in the attestation file of the account.
Without a terminal the open questions are listed instead.

\b
Examples:
  auditor attest main-okx
  auditor attest main-okx --answer account.login_weakest_factor=totp --answer account.alert_channels=email,push
"""


class AnswerError(ValueError):
    """An answer that is not a value of its fact; the text says what would be."""


@click.command("attest", help=_HELP)
@click.argument("account", required=False)
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file.")
@click.option(
    "--answer", "answers", multiple=True, metavar="FACT=VALUE", help="An answer, without being asked. Repeatable."
)
@click.option("--all", "everything", is_flag=True, help="Also ask what decides nothing important.")
@click.option(
    "--expires-days",
    type=click.IntRange(1, attestations.MOST_DAYS),
    default=attestations.USUAL_DAYS,
    show_default=True,
    help="How long answers are good for.",
)
@click.option(
    "--allow-endpoint", multiple=True, metavar="HOST", help="A host beyond this machine that an endpoint may name."
)
def command(
    account: str | None,
    config_path: Path | None,
    answers: tuple[str, ...],
    everything: bool,  # noqa: FBT001
    expires_days: int,
    allow_endpoint: tuple[str, ...],
) -> None:
    now = datetime.now(UTC)
    given = _given(answers, now)
    settings = _options.settings(config_path, allow_endpoint)
    chosen = settings.select([account] if account else [])
    if given and len(chosen) != 1:
        raise UsageError("--answer needs to know which account it is about", hint="auditor attest ACCOUNT --answer ...")
    for one in chosen:
        if given:
            click.echo(printable(keep_answers(settings, one, given, now=now, days=expires_days), limit=600))
        else:
            _converse(settings, one, now=now, days=expires_days, everything=everything)


def ask_owner(
    questions: Sequence[Question], *, now: datetime, expires_days: int = attestations.USUAL_DAYS
) -> dict[str, Any]:
    """Asks at the terminal (on stderr) and returns the answers by place. `s` skips a question, `q` stops.

    A question about a row that does not say which one cannot be answered and is not asked.
    """
    answers: dict[str, Any] = {}
    asked = [question for question in questions if question.subject or question.fact.startswith("account.")]
    if asked:
        until = (now + timedelta(days=expires_days)).date().isoformat()
        say(f"{len(asked)} questions, most valuable first; answers count until {until}. s = skip, q = stop.")
    for number, question in enumerate(asked, start=1):
        fact = catalogue()[question.fact]
        say(f"\n{number}/{len(asked)}  {_text(question.ask)}")
        if question.where:
            say(f"  Where to look: {_text(question.where)}")
        for at, choice in enumerate(fact.choices, start=1):
            say(f"  {at}  {choice}")
        reply = _reply(fact, now)
        if reply == "q":
            break
        if reply != "s":
            answers[question.place] = parse_answer(fact, reply, now=now, numbered=True)
    return answers


def _reply(fact: Fact, now: datetime) -> str:
    """Asks until the answer can be understood. Returns it, `s` or `q`."""
    while True:
        reply = str(click.prompt(f"  {_expected(fact)}", default="", show_default=False, err=True)).strip()
        if reply.lower() in {"", "s", "skip"}:
            return "s"
        if reply.lower() in {"q", "quit"}:
            return "q"
        try:
            parse_answer(fact, reply, now=now, numbered=True)
        except AnswerError as wrong:
            say(f"  {wrong}")
        else:
            return reply


def _expected(fact: Fact) -> str:
    return {
        "bool": "y or n",
        "int": "a number",
        "number": "a number",
        "time": "a date such as 2026-11-20",
        "enum": "one number",
        "set": "all that apply, such as 1,3; none if there is none",
        "list": "a list, such as a,b; none if there is none",
    }.get(fact.kind, "your answer")


def parse_answer(fact: Fact, text: str, *, now: datetime, numbered: bool = False) -> Any:
    """An answer as a value of `fact`; `numbered` lets choices be given by their number. Raises AnswerError."""
    text = text.strip()
    value = understood(fact, text, numbered=numbered)
    wrong = attestations.value_fault(fact, value, now)
    if wrong:
        raise AnswerError(wrong)
    return value


def understood(fact: Fact, text: str, *, numbered: bool = False) -> Any:
    """What a text says as a value of `fact`, checked no further. Raises AnswerError."""
    if fact.kind == "bool":
        if text.lower() not in _YES | _NO:
            raise AnswerError("expected y or n")
        return text.lower() in _YES
    if fact.kind in {"int", "number"}:
        if not _NUMBER.fullmatch(text) or (fact.kind == "int" and "." in text):
            raise AnswerError(
                "expected a number, such as 24" if fact.kind == "number" else "expected a whole number, such as 3"
            )
        return float(text) if "." in text else int(text)
    if fact.kind == "time":
        moment = parse_time(text)
        return format_time(moment) if moment else text
    if fact.kind == "enum":
        return _choice(fact, text, numbered=numbered)
    if fact.kind in {"set", "list"}:
        parts = [] if text.lower() == "none" else [part.strip() for part in text.split(",")]
        chosen = [_choice(fact, part, numbered=numbered) for part in parts]
        return sorted(set(chosen), key=fact.choices.index) if fact.kind == "set" else chosen
    return text


def _choice(fact: Fact, text: str, *, numbered: bool) -> str:
    if not fact.choices:
        return text
    if numbered and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= len(fact.choices):  # noqa: PLR2004  (a small number)
        return fact.choices[int(text) - 1]
    if text in fact.choices:
        return text
    close = difflib.get_close_matches(text[:64], fact.choices, 1)
    guess = f", did you mean {close[0]}?" if close else ""
    numbers = f"a number from 1 to {len(fact.choices)}, or " if numbered else ""
    raise AnswerError(f"expected {numbers}one of {', '.join(fact.choices)}{guess}")


def _given(answers: Sequence[str], now: datetime) -> dict[str, Any]:
    """The values of `--answer FACT=VALUE`. Raises UsageError with everything that is wrong with them."""
    found: dict[str, Any] = {}
    wrong = []
    for answer in answers:
        path, equals, text = answer.partition("=")
        if not equals or path in found:
            wrong.append(
                f"--answer {printable(path, limit=80)}: {'is answered twice' if equals else 'write FACT=VALUE'}"
            )
            continue
        try:
            found[path] = parse_answer(_attestable(path), text, now=now)
        except AnswerError as error:
            wrong.append(f"--answer {printable(path, limit=80)}: {error}")
    if wrong:
        raise UsageError("\n".join(wrong), hint="for example --answer account.login_weakest_factor=totp")
    return found


def _attestable(place: str) -> Fact:
    path, fingerprint = placed(place)
    fact = catalogue().get(path)
    if fact is None:
        raise AnswerError(f"unknown fact{suggestion(path[:80])}")
    if (fact.scope in attestations.MATCHED_BY) != (fingerprint is not None) or fact.scope in {"vendor", "venue"}:
        shown = f"{path}[FINGERPRINT]" if fact.scope in attestations.MATCHED_BY else "it in the attestation file"
        raise AnswerError(f"a fact of {fact.scope} is not answered like this: state {shown}")
    if "attest" not in fact.by:
        raise AnswerError("cannot be attested")
    return fact


def _converse(
    settings: config.Config, account: config.AccountConfig, *, now: datetime, days: int, everything: bool
) -> None:
    from auditor import pipeline
    from auditor.engine.advice import important

    _held(settings, account, now)  # a file that cannot be read is better found out before the questions
    open_ = pipeline.questions_for(settings, account)
    questions = [one for one in open_ if everything or important(one)]
    left = len(open_) - len(questions)
    rest = f"{left} smaller question{'' if left == 1 else 's'} left: --all asks them too." if left else ""
    if not questions:
        say(
            f"{account.name}: nothing important left to ask. {rest}"
            if rest
            else f"{account.name}: nothing left to ask."
        )
    elif at_terminal():
        say(f"{account.name} ({account.exchange})")
        answers = ask_owner(questions, now=now, expires_days=days)
        kept = keep_answers(settings, account, answers, now=now, days=days)
        click.echo(printable(kept or "No answer, nothing written.", limit=600), err=not kept)
        say(f"Beyond these nothing important is open. {rest}" if rest else "Nothing else is open.")
    else:
        _listed(account.name, questions)
        say(f"Beyond these nothing important is open. {rest}" if rest else "Nothing else is open.")


def at_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _listed(name: str, questions: Sequence[Question]) -> None:
    click.echo(f"{name}: {len(questions)} open questions, most valuable first")
    for number, question in enumerate(questions, start=1):
        fact = catalogue()[question.fact]
        values = " | ".join(fact.choices) or {"bool": "yes | no", "time": "YYYY-MM-DD"}.get(fact.kind, "a number")
        click.echo(f"\n{number}. {_text(question.ask)}")
        click.echo(f"   {question.fact} = {values}")
        if question.where:
            click.echo(f"   Where to look: {_text(question.where)}")
        if question.narrows:
            click.echo(f"   Decides: {', '.join(question.narrows)}")
        if question.ways:
            click.echo(f"   Bears on {math.ceil(question.ways)} possible way{'s' * (question.ways > 1)} to lose funds")
    say(f"\nAnswer at a terminal, or with: auditor attest {name} --answer FACT=VALUE")


_Held = tuple[Path, attestations.Attestation]


def _held(settings: config.Config, account: config.AccountConfig, now: datetime) -> _Held:
    """The attestation file of the account and what it holds. Raises InputError where it is there and not understood."""
    path = account.attestations or config.default_attestations(settings.path.parent, account.name)
    if os.path.lexists(path):
        return path, attestations.load(path, account_name=account.name, exchange=account.exchange, now=now)
    return path, attestations.Attestation(account_name=account.name, exchange=account.exchange)


def keep_answers(
    settings: config.Config,
    account: config.AccountConfig,
    answers: Mapping[str, Any],
    *,
    now: datetime,
    days: int = attestations.USUAL_DAYS,
) -> str:
    """Adds answers, by place, to the attestation file of an account. Says where and until when, or nothing for none."""
    if not answers:
        return ""
    path, stated = _held(settings, account, now)
    for place, value in answers.items():
        held_for = min(days, _HOLDS.get(place, days))
        stated = added(stated, place, value, now=now, days=held_for)
    reason = None
    try:
        attestations.write(path, stated)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason is not None:
        raise AuditorError(f"{path} cannot be written: {reason}", hint="nothing was changed")
    until = " and ".join(sorted({str(stated.sources[placed(place)[0]].expires) for place in answers}))
    answered = "1 answer" if len(answers) == 1 else f"{len(answers)} answers"
    return f"{path}: {answered}, good until {until}"


def _text(text: str) -> str:
    return printable(text, limit=_LONGEST)
