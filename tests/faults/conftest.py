"""The tiny study, in this process and in others."""

from tinyruns import nobody_stays as nobody_stays
from tinyruns import one_step as one_step
from tinyruns import tiny as tiny
