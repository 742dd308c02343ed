"""Engines: train blocks in this process, in several local processes or on a Ray cluster."""

#: Where blocks are trained.
ENGINES = {
    "local": "on this machine, as many blocks at a time as it has cores and memory for, or on its GPUs (--devices)",
    "inline": "one block after another, in this process",
    "ray": "every block a task of Ray, on this machine or on a cluster (--address)",
}
