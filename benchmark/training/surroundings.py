"""Lightning's trainer, isolated from environment variables and other people's checkpoints.

Lightning reads the environment variables of schedulers (Slurm, torchrun, LSF, MPI, Kubeflow) and takes defaults of its
arguments from ``PL_TRAINER_*``. Under Slurm it also loads any ``hpc_ckpt_*.ckpt`` of its root folder, by default the
working directory, into any training. No result may depend on these: only this project claims, trains and resumes
blocks.
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
    """A cluster of one process. It ignores the variables of schedulers and launchers."""

    creates_processes_externally = False

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return 0

    def teardown(self) -> None:
        """Keep the environment variables: the base class deletes some, which here belong to other programs."""


class IsolatedTrainer(Trainer):
    """Lightning's trainer, for one process or with a strategy that has its own cluster environment.

    Lightning takes defaults from variables ``PL_{CLASS NAME}_*``, so a class of another name ignores ``PL_TRAINER_*``.

    Args:
        strategy: A strategy with a cluster environment of its own; None trains in this process alone.
        **arguments: Passed on to Lightning's ``Trainer``.
    """

    def __init__(self, *, strategy: Any = None, **arguments: Any) -> None:
        if strategy is None:
            # On import, Lightning sets the rank from variables such as RANK, and its loggers write on rank 0 only.
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
    """Return a folder that is never created, so it contains no checkpoints."""
    return Path(tempfile.gettempdir()) / f"modecov-{uuid.uuid4().hex}"
