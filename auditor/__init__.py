"""auditor: reads a crypto-exchange account through read-only keys and says how it would be robbed, and what to change first."""

__version__ = "0.1.0"
