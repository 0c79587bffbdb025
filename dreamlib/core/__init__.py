"""Used by every part: errors, registries, randomness by purpose, atomic files, plug-ins."""
