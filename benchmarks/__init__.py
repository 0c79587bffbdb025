"""how fast the engine is, next to the reference loops of ``tests/reference.py``: ``make bench``."""
