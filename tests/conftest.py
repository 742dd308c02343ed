"""Before anything imports PyTorch."""

import os
import signal

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of several would wait for one another.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = os.environ.get(name) or "1"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what runs in the background so, and every process that a test starts would take it over.
    signal.signal(signal.SIGINT, signal.default_int_handler)
