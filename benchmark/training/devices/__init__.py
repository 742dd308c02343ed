"""One block on several devices, and its steps as CUDA graphs."""
