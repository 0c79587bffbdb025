"""``python -m dreamlib.companion``: a worker process; the run that starts it sends its order on standard input."""

import sys

if __name__ == "__main__":
    # Read first: importing PyTorch takes seconds, for which the sender would wait.
    order = sys.stdin.buffer.read()
    from dreamlib.companion.run import work

    raise SystemExit(work(order))
