"""A workflow for GitHub Actions. Logs of a public repository are public: the report is not printed."""

from __future__ import annotations

import json
import shlex

from auditor.errors import UsageError
from auditor.schedule import Plan
from auditor.schedule.cron import fields

_TEXT = """# Put this into .github/workflows/auditor.yml of a PRIVATE repository that holds the configuration.
# - A runner of GitHub has another address every time: a key that is bound to an address needs a runner of your own.
# - Nothing is remembered between runs, unless `history` names a PostgreSQL database and `identity_key` a secret.
# - The workflow fails with what the audit found (exit codes 10 to 13), which mails whoever watches the repository.
name: auditor
on:
  schedule:
    - cron: {when}
  workflow_dispatch: {{}}
permissions:
  contents: read
concurrency:
  group: auditor
  cancel-in-progress: false
jobs:
  audit:
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with:
          persist-credentials: false
      - name: Install
        run: {install}
      - name: Audit
{env}        run: {command}
"""


def render(plan: Plan) -> dict[str, str]:
    """auditor.yml."""
    words = plan.audit(plan.place)
    if any("${{" in word for word in words):
        raise UsageError("GitHub cannot be given ${{ in a path or option", hint="use another path")
    command = f"auditor {shlex.join(words)}" + ("" if plan.output else ' -o "$RUNNER_TEMP/report"')
    secrets = "".join(f"          {name}: ${{{{ secrets.{name} }}}}\n" for name in plan.variables)
    text = _TEXT.format(
        when=json.dumps(fields(plan.slots)),
        install=json.dumps(f"pipx install exchange-auditor=={plan.version}"),
        env=f"        env:\n{secrets}" if secrets else "",
        command=json.dumps(command),
    )
    return {"auditor.yml": text}
