"""The tiny study, in this process."""

from tinyruns import one_step as one_step
from tinyruns import tiny as tiny
