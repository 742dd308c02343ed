"""Lightning's trainer, deaf to its surroundings.

Lightning reads the environment variables of schedulers (Slurm, torchrun, LSF, MPI, Kubeflow), takes defaults of its
arguments from ``PL_TRAINER_*``, and under Slurm loads any ``hpc_ckpt_*.ckpt`` of its root folder, which is the working
directory unless one says otherwise, into whatever is trained. A number must depend on none of this: blocks are claimed,
trained and resumed by this project alone.
"""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning import Trainer


class SingleProcess(LightningEnvironment):
    """A cluster of one process, whatever the variables of a scheduler or a launcher say."""

    creates_processes_externally = False

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return 0

    def teardown(self) -> None:
        """Leave the variables as they are: they belong to whoever set them."""


class IsolatedTrainer(Trainer):
    """Lightning's trainer, for one process or with a strategy that brings its cluster along.

    Its name keeps ``PL_TRAINER_*`` out: Lightning looks for variables that are called as the class is.

    Args:
        strategy: A strategy with a cluster environment of its own; None for this process alone.
        **arguments: As of Lightning's ``Trainer``.
    """

    def __init__(self, *, strategy: Any = None, **arguments: Any) -> None:
        if strategy is None:
            # Lightning takes it from RANK and its like when it is imported, and loggers of other ranks write nothing.
            rank_zero_only.rank = 0  # type: ignore[attr-defined]
            arguments["plugins"] = [SingleProcess()]
        super().__init__(
            strategy="auto" if strategy is None else strategy,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=_nowhere(),
            **arguments,
        )


def _nowhere() -> Path:
    """A folder that is never made, so that nobody's checkpoints lie in it."""
    return Path(tempfile.gettempdir()) / f"modecov-{uuid.uuid4().hex}"
