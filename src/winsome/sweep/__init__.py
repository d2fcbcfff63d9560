"""Many studies as one: a grid of them, run on a Ray cluster or on this machine, with what they share done once."""

from winsome.sweep.grid import grid as grid
from winsome.sweep.grid import studies_of as studies_of
from winsome.sweep.run import run_sweep as run_sweep
