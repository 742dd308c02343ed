"""One batch on several devices, with one process each: shards of the batch and collective operations.

Every process draws the whole batch and all of its noise and takes its shard, so that results do not depend on the
number of processes. Each process computes the loss of its shard, and gradients are averaged over the processes. This
equals the gradient of the whole batch if the loss is a mean over samples. Other losses collect what they need with
``all_gather`` and ``all_reduce_mean``, through which gradients flow back to the processes that own the values.

In a single process, and outside ``sharded_batch``, these functions return their arguments unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.nn import functional

_NORM_EPS = 1e-5

#: Number of processes, number of shards of the current batch, and its size.
_world_size, _num_shards, _batch_size = 1, 1, 0


# PyTorch's own, torch.distributed.nn.functional.all_reduce, is deprecated, and what replaces it is private.
class _Sum(Function):
    """Sum of a tensor over all processes, with first and second derivatives."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)


@contextmanager
def sharded_batch(batch: int) -> Iterator[None]:
    """Share a batch of this size among the processes of PyTorch's default group inside the ``with`` block.

    If the batch cannot be divided evenly (the last one of an epoch), each process computes all of it.

    Args:
        batch: Number of samples in the whole batch.
    """
    global _world_size, _num_shards, _batch_size
    there = distributed.is_available() and distributed.is_initialized()
    _world_size = distributed.get_world_size() if there else 1
    _num_shards, _batch_size = (_world_size if batch % _world_size == 0 else 1), batch
    try:
        yield
    finally:
        _world_size, _num_shards, _batch_size = 1, 1, 0


def num_shards() -> int:
    """Number of shards of the current batch."""
    return _num_shards


def local_shard(x: Tensor) -> Tensor:
    """This process's shard of ``x [S, B, ...]``, or of each of n batches side by side, ``[S, n * B, ...]``."""
    if _num_shards == 1:
        return x
    return x.unflatten(1, (-1, _num_shards, _batch_size // _num_shards))[:, :, distributed.get_rank()].flatten(1, 2)


def all_gather(x: Tensor) -> Tensor:
    """The whole batch ``[S, B, ...]`` from the shards ``[S, B / num_shards, ...]`` of all processes, in order."""
    if _num_shards == 1:
        return x
    mine = distributed.get_rank()
    return _Sum.apply(torch.cat([x if rank == mine else torch.zeros_like(x) for rank in range(_num_shards)], 1))


def all_reduce_mean(x: Tensor) -> Tensor:
    """Mean of ``x`` over the processes. If ``x`` is a mean over a shard, the result is the mean over the batch."""
    return x if _world_size == 1 else _Sum.apply(x) / _world_size


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over the processes. Parameters that a loss does not reach have no gradient."""
    if _world_size == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    joined = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(joined)
    joined /= _world_size
    for gradient, mean in zip(gradients, joined.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def batch_norm(
    x: Tensor,
    means: Tensor,
    variances: Tensor,
    scale: Tensor,
    shift: Tensor,
    training: bool,
    momentum: float,
    eps: float = _NORM_EPS,
) -> Tensor:
    """PyTorch's batch norm of ``x [B, C, ...]`` with the statistics of the whole batch.

    Args:
        x: Input, this process's shard.
        means: Running means ``[C]``, updated in place in training.
        variances: Running variances ``[C]``, updated in place in training.
        scale: Factor ``[C]``.
        shift: Offset ``[C]``.
        training: Whether to use the statistics of the batch.
        momentum: Share of the new statistics in the running ones.
        eps: Added to variances.
    """
    if _num_shards == 1 or not training:
        return functional.batch_norm(x, means, variances, scale, shift, training, momentum, eps)
    axes, columns = [0, *range(2, x.ndim)], (-1, *[1] * (x.ndim - 2))
    # Statistics are computed in 32 bits in mixed precision, too.
    wide = x.float()
    mean = all_reduce_mean(wide.mean(axes))
    centred = wide - mean.view(columns)
    variance = all_reduce_mean(centred.square().mean(axes))
    with torch.no_grad():
        count = _num_shards * x.numel() // x.shape[1]
        means.lerp_(mean, momentum)
        variances.lerp_(variance * count / (count - 1), momentum)
    return (centred * ((variance + eps).rsqrt() * scale).view(columns) + shift.view(columns)).to(x.dtype)
