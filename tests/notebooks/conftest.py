"""Modules that lie beside notebooks are imported from there, as a kernel does."""

import sys
from pathlib import Path

from madeup import closed_figures as closed_figures
from madeup import make as make
from madeup import numbers as numbers

for folder in sorted((Path(__file__).parents[2] / "notebooks").iterdir()):
    if folder.is_dir():
        sys.path.insert(0, str(folder))
