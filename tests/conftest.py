"""Before anything imports PyTorch."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of several would wait for one another.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
