"""The tiny study, in this process."""

from tinyruns import tiny as tiny
