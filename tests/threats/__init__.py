"""The attack model and its solver. How to ask it about a posture: see `invented.py`."""
