"""Train one block on several devices, and replay its iterations as CUDA graphs."""
