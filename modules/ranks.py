"""One batch on several devices, a process each: the share of it that this process works on, and what joins them.

Every process draws the whole batch and all of its noise and takes its part, so that numbers do not depend on how many
processes there are. Its loss is that of its part, and gradients are averaged over the processes. This is the gradient
of the whole batch's loss where that is a mean over samples; where samples of a batch meet in another way,
``all_gather`` and ``all_reduce_mean`` collect what the loss is made of, and lead gradients back to the processes that
they belong to.

In one process, and outside ``sharded_batch``, everything here gives back what it gets.
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

#: Processes that work on the batch of now, its parts, and its size.
_world_size, _num_shards, _batch_size = 1, 1, 0


class _Sum(Function):
    """The sum of a tensor over all processes. Its gradient is the sum of their gradients, which has gradients too."""

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
    """Inside, a batch of that size is shared by the processes of PyTorch's default group, if there is one.

    A batch that cannot be divided evenly (an epoch's last) is whole in each of them: all do the same.
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
    """How many parts the batch of now has."""
    return _num_shards


def local_shard(x: Tensor) -> Tensor:
    """This process's part of ``x [S, B, ...]``, or of each of several batches side by side, ``[S, n * B, ...]``."""
    if _num_shards == 1:
        return x
    return x.unflatten(1, (-1, _num_shards, _batch_size // _num_shards))[:, :, distributed.get_rank()].flatten(1, 2)


def all_gather(x: Tensor) -> Tensor:
    """The batch ``[S, B, ...]`` of which every process has a part ``[S, B / num_shards, ...]``, in its order."""
    if _num_shards == 1:
        return x
    mine = distributed.get_rank()
    return _Sum.apply(torch.cat([x if rank == mine else torch.zeros_like(x) for rank in range(_num_shards)], 1))


def all_reduce_mean(x: Tensor) -> Tensor:
    """Mean of ``x`` over the processes: the batch's, if ``x`` is a mean over this part of it."""
    return x if _world_size == 1 else _Sum.apply(x) / _world_size


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean of their gradients, in place. Parameters that a loss does not reach have none."""
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
    """PyTorch's batch norm of ``x [B, C, ...]`` by the statistics of the whole batch."""
    if _num_shards == 1 or not training:
        return functional.batch_norm(x, means, variances, scale, shift, training, momentum, eps)
    axes, columns = [0, *range(2, x.ndim)], (-1, *[1] * (x.ndim - 2))
    # In mixed precision statistics stay in 32 bits.
    wide = x.float()
    mean = all_reduce_mean(wide.mean(axes))
    centred = wide - mean.view(columns)
    variance = all_reduce_mean(centred.square().mean(axes))
    with torch.no_grad():
        count = _num_shards * x.numel() // x.shape[1]
        means.lerp_(mean, momentum)
        variances.lerp_(variance * count / (count - 1), momentum)
    return (centred * ((variance + eps).rsqrt() * scale).view(columns) + shift.view(columns)).to(x.dtype)
