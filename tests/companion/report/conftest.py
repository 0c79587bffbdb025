"""Made-up records and reported numbers."""

from madeup import closed_figures as closed_figures
from madeup import make as make
from madeup import numbers as numbers
