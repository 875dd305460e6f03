"""The bare scan again, its order drawn by NumPy on the host: the faster of the two styles on a CPU."""

import functools

from benchmarks.peers import bare_scan

prepare = functools.partial(bare_scan.prepare, shuffle="numpy")
