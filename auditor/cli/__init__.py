"""The command line: one file a command, imported when it is called. `--version` and `--help` import click alone."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any

import click

from auditor import __version__

_FRESH = 200_000
"""Objects made and not yet gone before Python looks for garbage in circles: what a short command makes is less, and by itself
Python would look a hundred times."""
_COMMANDS = {
    "audit": "Collect, evaluate and report: the main job.",
    "demo": "Audit sample accounts of the embedded exchange twin.",
    "init": "Write auditor.yaml, asking the few things it needs.",
    "collect": "Collect evidence only.",
    "evaluate": "Evidence documents to a report, without network.",
    "report": "Render a stored run or a JSON report again.",
    "paths": "How an attacker gets to the money; --what-if.",
    "keys": "The key inventory against what you approved.",
    "history": "Stored runs: compare, trend, verify, prune.",
    "attest": "Answer what no API can show.",
    "verify": "Check a signed report: who, when, unchanged.",
    "watch": "Audit every so often, without a scheduler.",
    "schedule": "Unit files for the scheduler you have.",
    "waive": "Accept a risk, with reason, owner and end.",
    "waivers": "List and check the accepted risks.",
    "rules": "List, show, check and test rules.",
    "preflight": "For bots: is the key no stronger than it should be?",
    "query": "Ask the evidence and findings of a run in SQL.",
    "vault": "Keep credentials in one encrypted file.",
    "exchanges": "What a read-only key proves at each exchange.",
}


class _Lazy(click.Group):
    """Knows the commands by name and one line of help; imports the file of the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"auditor.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            import difflib

            close = difflib.get_close_matches(args[0], _COMMANDS, 1)
            if close:
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {close[0]!r}?", ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


_HELP = """Reads a crypto-exchange account through read-only keys and says how it would be robbed, and what to change first.

\b
Example:
  auditor demo
"""


@click.group(cls=_Lazy, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="auditor")
def command() -> None:
    import logging

    logging.getLogger().addHandler(logging.NullHandler())  # what libraries log may quote a request


def main(args: list[str] | None = None) -> Any:
    """Entry point of the `auditor` command."""
    gc.set_threshold(_FRESH)
    from auditor.cli import _voice

    _voice.settle()
    code = _voice.speak(command, args)
    if "duckdb" not in sys.modules:  # which would name on stderr whatever is not freed
        gc.freeze()  # a process that ends need not look for garbage once more
    sys.exit(code)
