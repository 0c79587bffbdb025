"""How fast the engine is, beside the plain loops of ``tests/reference.py``: ``make bench``."""
