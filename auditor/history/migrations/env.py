"""Run by Alembic around a migration: on the connection it is handed, inside the transaction that is open there."""

from __future__ import annotations


def run() -> None:
    """Upgrades the connection of the configuration's attributes. The caller commits."""
    from alembic import context

    context.configure(connection=context.config.attributes["connection"])
    context.run_migrations()


run()
