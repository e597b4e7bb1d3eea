"""auditor: reads a crypto-exchange account through read-only keys and says how it would be robbed, and what to change first.

For programs: `key_facts`, `preflight` and `Verdict`, fetched from `auditor.bots` when first asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.bots import Verdict, key_facts, preflight

__version__ = "0.1.0"
__all__ = ["Verdict", "__version__", "key_facts", "preflight"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from auditor import bots

        return getattr(bots, name)
