"""``python -m dreamlib.companion.kernel``: the IPython kernel of a page, which starts and ends quickly."""

import sys
from pathlib import Path

from ..core.startup import starting

if __name__ == "__main__":
    starting()
    # As IPython's own launcher: the notebook's folder is no place for modules until the kernel runs.
    if sys.path[0] == "" or Path(sys.path[0]) == Path.cwd():
        del sys.path[0]
    from ipykernel import kernelapp

    kernelapp.launch_new_instance()
