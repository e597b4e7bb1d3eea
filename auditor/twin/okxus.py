"""OKX US: an exchange that answers as OKX does, and knows only the keys of its own region.

Source: https://app.okx.com/docs-v5/en/.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from auditor.twin import okx
from auditor.twin._base import TwinKey


class Twin(okx.Twin):
    """The account of somebody in the United States."""

    id = "okxus"
    in_demo = False
    account_name = "main-okxus"

    def sample_keys(self) -> list[TwinKey]:
        """The keys of the global site, under ids and secrets that are known here alone."""
        return [
            replace(key, api_key=key.api_key.replace("d3m0a", "d3m0f"), secret=key.secret + "US")
            for key in super().sample_keys()
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "enrolled_factors": ["totp", "email"],
                "withdrawal_allowlist_enabled": True,
                "keys_counted": 1,
            }
        }
