"""Frozen values that pass between the rooms: no I/O but the bundled fact catalogue, no clock."""
