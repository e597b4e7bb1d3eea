"""What earlier runs saw and what the owner approved: an append-only, signed chain of records in SQLite or PostgreSQL."""
