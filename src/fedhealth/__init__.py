"""FedHealth: one calibrated health-risk model trained over nodes that keep their rows."""

import os

# One thread for linear algebra: the same bits on any number of cores, and faster for matrices of this size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
