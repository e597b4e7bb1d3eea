"""What became of Coinbase International: an account at Deribit, which answers as Deribit does.

Source: https://docs.deribit.com/articles/intx-api-migration.
"""

from __future__ import annotations

from typing import Any

from auditor.twin import deribit


class Twin(deribit.Twin):
    """The account of an institution that moved, and that somebody who knew its keys has left."""

    id = "coinbaseinternational"
    account_name = "main-coinbaseinternational"

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "enrolled_factors": ["totp"],
                "email_second_factor": "totp",
                "anyone_left": True,
                "last_departure_at": "2026-09-30T00:00:00Z",
            }
        }
