"""Checkpoints of unfinished blocks: write them, seal them, and refuse damaged ones.

A checkpoint is the zip archive that ``Trainer.save_checkpoint`` writes, with a seal: the SHA-256 of the file, stored as
the comment of the archive. Readers of zip archives ignore the comment, so plain Lightning loads a sealed checkpoint. A
checkpoint whose bytes do not match its seal is never resumed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer

from benchmark.errors import UserError
from benchmark.spec.protocol import Protocol
from benchmark.store.files import writing
from datamodules.files import is_ordinary, replacing

FORMAT = 4
# Checkpoints hold a protocol, and are loaded without running what is in them.
torch.serialization.add_safe_globals([Protocol])
#: Under which a checkpoint holds what its block's evaluation keeps.
STATE = "Evaluation"
#: Length of the seal, and how the archive says that its comment is so long; 0 is without one.
_LENGTH = hashlib.sha256().digest_size * 2
_SEALED, _UNSEALED = _LENGTH.to_bytes(2, "little"), bytes(2)


def write_checkpoint(trainer: Trainer, path: Path) -> None:
    """Write and seal a checkpoint. The file appears complete or not at all.

    Raises:
        UserError: The file cannot be written.
    """
    with writing(path), replacing(path) as part:
        trainer.save_checkpoint(part)
        seal(part)


def seal(path: Path) -> None:
    """Append the seal to a file that ``Trainer.save_checkpoint`` wrote, and flush it to disk."""
    with path.open("rb+") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(-len(_UNSEALED), os.SEEK_END)
        file.write(_SEALED + digest.encode())
        file.flush()
        os.fsync(file.fileno())


def is_sealed(path: Path) -> bool:
    """Return whether the file is unchanged since it was sealed."""
    content = path.read_bytes()
    body, length, digest = content[: -_LENGTH - 2], content[-_LENGTH - 2 : -_LENGTH], content[-_LENGTH:]
    return length == _SEALED and hashlib.sha256(body + _UNSEALED).hexdigest().encode() == digest


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the state of ``Evaluation`` from a checkpoint.

    Raises:
        FileNotFoundError: There is no checkpoint.
        UserError: The file is damaged or has another format.
    """
    if path.exists() and not is_ordinary(path):
        raise UserError(f"{path} is no ordinary file; {way_out(path)}")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["callbacks"][STATE]
        version = state["format"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise UserError(f"{path} is damaged or no checkpoint of this version; {way_out(path)}") from error
    if version != FORMAT:
        raise UserError(f"{path} has checkpoint format {version}, this version reads {FORMAT}; {way_out(path)}")
    if not is_sealed(path):
        raise UserError(f"{path} is damaged (not as it was written: edited, or a bad disk); {way_out(path)}")
    return state


def way_out(path: Path) -> str:
    """Tell the user how to proceed without a checkpoint that cannot be resumed."""
    return f"delete {path} to start this block again"


def finished_iterations(path: Path) -> int:
    """Return the iterations that a checkpoint holds.

    Returns:
        The count; 0 without a checkpoint, or with one that ``read_checkpoint`` refuses.
    """
    if not is_ordinary(path):
        return 0
    try:
        return max(0, int(torch.load(path, map_location="cpu", weights_only=True)["iteration"]))
    except Exception:
        return 0
