"""``python -m dreamlib``, and the command ``dreamlib``."""

from .core.startup import starting


def main() -> int:
    """Run the command that was typed; its exit status."""
    starting()
    from .companion.cli import main as run

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
