"""``python -m dreamlib.companion``: a worker process; the run that starts it sends its order on standard input."""

import sys

if __name__ == "__main__":
    # Read first: importing PyTorch takes seconds, for which the sender would wait.
    order = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    if not order:
        raise SystemExit("this is what runs start their workers with\n  try: python -m dreamlib --help")
    from dreamlib.core.startup import starting

    starting()
    from dreamlib.companion.run import work

    raise SystemExit(work(order))
