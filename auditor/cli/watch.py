"""`auditor watch`: an audit every so often, for those without a scheduler. Each audit is a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditor.cli import _options, _state, _voice
from auditor.errors import AuditorError, UsageError

if TYPE_CHECKING:
    from auditor.config import Config

_LONGEST_RUN = 24 * 3600.0
_GRACE = 15.0
"""Seconds an audit gets to end by itself when the watch is stopped."""
_MOST_LATE = timedelta(minutes=15)
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from auditor.cli import main; main()"
"""The program found where we were found, without a word in the environment, which `cmd:` references inherit."""
_HELP = """Audit now and then every so often, until it is stopped (Ctrl-C, SIGTERM). Options it does not know are those of
`auditor audit`.

Only one watch of a configuration runs at a time. Runs that a sleeping machine missed are made up for once.

\b
Examples:
  auditor watch --every 6h
  auditor watch --every 1h --heartbeat ~/auditor.beat -f prometheus -o /var/lib/node_exporter/auditor.prom
"""


class _Until:
    """The machine's clocks, and the wish to stop."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def steady(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        return self.stopped.wait(seconds)


@click.command(
    "watch", help=_HELP, context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}
)
@click.option("--every", required=True, metavar="LENGTH", help="How often: 30m, 6h, 1d.")
@click.option(
    "--jitter", metavar="LENGTH", help="Begin up to so much later, by chance (default: a tenth, 15m at most)."
)
@click.option(
    "--heartbeat",
    metavar="FILE|URL|REFERENCE",
    help="A file that is written, or a URL that is asked for, after each audit that came to its end.",
)
@click.option("--once", is_flag=True, help="One audit, and its exit code.")
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file.")
@click.argument("audit_options", nargs=-1, type=click.UNPROCESSED)
def command(
    every: str,
    jitter: str | None,
    heartbeat: str | None,
    once: bool,  # noqa: FBT001
    config_path: Path | None,
    audit_options: tuple[str, ...],
) -> int:
    import random

    from auditor import watch
    from auditor.schedule.every import length

    period = length(every)
    most = length(jitter) if jitter and jitter != "0" else timedelta(0) if jitter else min(period / 10, _MOST_LATE)
    if most >= period:
        raise UsageError("--jitter must be shorter than --every")
    settings = _options.settings(config_path, _checked(audit_options))
    args = ["-c", str(settings.path), "--yes", *audit_options]
    beat = _heart(heartbeat, settings)
    until = _Until()
    with _stoppable(until), watch.alone(_state.place(settings.path, "watch.lock")):
        if once:
            code = _audit(args, until)
            if code in watch.DONE:
                beat(code)
            return code
        return watch.watch(
            lambda: _audit(args, until),
            beat,
            every=period,
            late=lambda: most * random.SystemRandom().random(),
            clock=until,
            tell=lambda next_: _voice.say(f"next audit after {next_:%Y-%m-%d %H:%M} UTC"),
        )


def _checked(given: Sequence[str]) -> tuple[str, ...]:
    """The hosts that the options of every audit allow. Raises what an audit would refuse of them."""
    from auditor.cli import audit

    with audit.command.make_context("auditor audit", list(given)) as context:
        _options.check_formats(context.params["formats"], context.params["output"])
        if context.params["notify_test"]:
            raise UsageError("--notify-test is no audit", hint="auditor audit --notify-test")
        hosts: tuple[str, ...] = context.params["hosts"]
    return hosts


def _audit(args: Sequence[str], until: _Until) -> int:
    """One audit as a process; its exit code. Ended where the watch is, or after a day."""
    ourselves = [sys.executable, "-P", "-c", _START, json.dumps(sys.path)]
    process = subprocess.Popen([*ourselves, "audit", *args], stdin=subprocess.DEVNULL)  # noqa: S603
    deadline = until.steady() + _LONGEST_RUN
    while until.steady() < deadline and not until.stopped.is_set():
        try:
            return process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
    process.terminate()
    try:
        return process.wait(timeout=_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _heart(text: str | None, settings: Config) -> Callable[[int], None]:
    """What to do after an audit that came to its end. What fails is said, and costs the next audit nothing."""
    from auditor import credentials
    from auditor.notify import delivery
    from auditor.redaction import Secret

    if text is None:
        return lambda _code: None
    if text.startswith(("http://", "https://")):
        address = Secret(text)
    elif credentials.is_reference(text):
        address = _options.sources(settings).resolve({"address": text}, account="--heartbeat")["address"]
    elif "://" in text:
        raise UsageError("--heartbeat takes a file, an http or https address, or a reference to one")
    else:
        path = Path(os.path.abspath(credentials.expand(text, os.environ)))  # noqa: PTH100  (keeps a symbolic link)
        return lambda code: _beat_file(path, code)
    return lambda _code: _failed(delivery.ping(address))


def _beat_file(path: Path, code: int) -> None:
    from auditor import files

    problem = None
    try:
        files.write(path, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {code}\n".encode())
    except OSError as error:
        problem = f"could not be written: {error.strerror or type(error).__name__}"
    _failed(problem)


def _failed(problem: str | None) -> None:
    if problem:
        _voice.complain(AuditorError(f"the heartbeat {problem}"))


@contextmanager
def _stoppable(until: _Until) -> Iterator[None]:
    """SIGTERM, SIGINT and SIGHUP ask the watch to stop, and it does so in order."""
    asked = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    before = {one: signal.signal(one, lambda _number, _frame: until.stopped.set()) for one in asked}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
