"""What every part stands on: errors, registries, randomness by purpose, files that are all or nothing, plug-ins."""
