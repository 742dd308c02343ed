"""The base class of every method: training, noise, schedules and sampling that all methods share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from modules.convolutions import ImageBatchNorm
from modules.families import ConvFamily, MLPFamily, Output, find_family
from modules.networks import MLP, InstanceNoise, SeedBatchNorm
from modules.noise import Noise, draw
from modules.options import Distribution, Training
from modules.ranks import all_reduce_mean, average_gradients, local_shard, num_shards, sharded_batch
from modules.replicate import Replicated


class Update(NamedTuple):
    """One optimizer step: lower ``loss(x, z)`` by changing the parameters of the networks in ``params``.

    Attributes:
        loss: Function of data and latents that returns one value per seed, ``[S]``.
        params: Networks whose parameters this step changes.
        n_steps: How often the step is repeated. Each repetition draws new data and latents if the protocol says so.
        lr_scale: Learning rate of this step as a multiple of the protocol's.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    params: tuple[nn.Module, ...]
    n_steps: int = 1
    lr_scale: float = 1.0

    @property
    def loss_name(self) -> str:
        """Name of the loss, as the method's author wrote it."""
        return getattr(self.loss, "__name__", "loss")

    @property
    def name(self) -> str:
        return self.loss_name.removesuffix("_loss")


class AdversarialModule(LightningModule):
    """A generative model that is trained by a list of updates, ``S`` seeds at a time.

    A method builds its networks with ``build_generator``, ``build_encoder`` and ``build_discriminator``, lists its
    steps in ``updates`` in the order of its paper, and defines one loss per step. A loss maps data ``x [S, B, ...]``
    and latents ``z [S, B, latent_dim]`` to ``[S]``. One iteration runs all updates once.

    A method can train a part of itself before adversarial training starts. It lists these steps in ``pretraining`` and
    sets ``pretraining_epochs``. Iterations of pre-training have negative numbers, so that adversarial training starts
    at iteration 0.

    Args:
        training: Settings shared with other methods.
        data_shape: Shape of one sample.
        seeds: One integer per copy. Copy ``s`` depends on ``seeds[s]`` alone.
    """

    #: Short name on the command line; classes without one are not listed.
    name: ClassVar[str] = ""
    #: To be raised when a change alters the numbers of this method; each class states its own.
    version: ClassVar[int] = 0
    #: All gradients are taken before any network moves (ALI and VEEGAN), instead of one update after another.
    simultaneous: ClassVar[bool] = False
    #: Gradients of a discriminator are differentiated again (penalties, unrolled steps).
    second_derivatives: ClassVar[bool] = False
    #: Losses in which samples of a batch meet otherwise than in a mean over them, and which go through ``all_gather``
    #: or ``all_reduce_mean`` for it (``modules.ranks``). Each class says so for itself; without a word it trains on one
    #: device.
    batch_coupled_losses: ClassVar[tuple[str, ...] | None] = None
    #: Networks and buffers that samples and codes are made with: what is kept of a trained model of images.
    samplers: ClassVar[tuple[str, ...]] = ("generator", "encoder")

    #: Epochs of pre-training, before those of the protocol.
    pretraining_epochs: int = 0
    #: Training data that ``calibrate`` gets before samples are drawn.
    calibration: int = 0
    #: Iterations of the whole game, 0 where nobody said.
    planned_iterations: int = 0
    generator: Any

    def __init__(self, training: Training, data_shape: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.training_setup = training
        self.data_shape = tuple(data_shape)
        self.seeds = tuple(seeds)
        self.iteration = 0
        self.noise = Noise(seeds)
        self._slot = self._noise_calls = 0
        self._losses: dict[str, list[Tensor]] = {}
        self._traces: dict[str, list[Tensor]] = {}
        self._steps: list[tuple[Update, list[nn.Parameter]]] | None = None
        self._pretraining_steps: list[tuple[Update, list[nn.Parameter]]] | None = None

    # What a method writes ---------------------------------------------------------------------------------------

    def updates(self) -> Iterator[Update]:
        """The steps of one iteration, in the order of the paper's algorithm."""
        raise TypeError(f"{type(self).__name__} does not say how it is trained: write its updates()")

    def pretraining(self) -> Iterator[Update]:
        """The steps of one iteration of pre-training."""
        yield from ()

    def generate(self, z: Tensor) -> Tensor:
        """Generate samples in the scale of the training data.

        Args:
            z: Latents ``[S, B, noise_dim]``.

        Returns:
            Samples ``[S, B, *data_shape]``.
        """
        return self.generator(z)

    def calibrate(self, x: Tensor) -> None:
        """Estimate from training data what sampling needs, after training.

        It must not change anything that training depends on.

        Args:
            x: Training data ``[calibration, *data_shape]`` in the scale that networks see.
        """

    @property
    def noise_dim(self) -> int:
        """Number of random coordinates, distributed as the prior, that one sample is generated from."""
        return self.training_setup.latent_dim

    # What a method uses -----------------------------------------------------------------------------------------

    @property
    def data_dim(self) -> int:
        return int(np.prod(self.data_shape))

    @property
    def output(self) -> Output:
        """Output function of networks that generate data."""
        ends: dict[str, Output] = {"unit": "sigmoid", "symmetric": "tanh", "none": "linear"}
        return ends[self.training_setup.scaling]

    def build(self, role: str, inputs: int, outputs: int, output: Output = "linear") -> MLP:
        """A fully connected network of the protocol's family, one copy per seed.

        Networks of equal role and size start with equal weights in every method.

        Args:
            role: Name of the network. Its initial weights depend on it.
            inputs: Number of inputs.
            outputs: Number of outputs.
            output: Output function.

        Raises:
            ValueError: The protocol's networks are convolutional.
        """
        family = self.family
        if not isinstance(family, MLPFamily):
            raise ValueError(f"{self.name} is for vectors; networks {self.training_setup.networks} are for images")
        return family.build(role, inputs, outputs, self.seeds, output)

    @property
    def family(self) -> MLPFamily | ConvFamily:
        """The protocol's network family."""
        return find_family(self.training_setup.networks)

    def build_generator(self, role: str = "generator", inputs: int = 0, norm: bool = True) -> Any:
        """A generator: a network from latents to data.

        Args:
            role: Name of the network. Its initial weights depend on it.
            inputs: Number of inputs, the latent's dimension if 0.
            norm: False builds it without batch norm.
        """
        inputs = inputs or self.training_setup.latent_dim
        return self.family.generator(role, inputs, self.data_shape, self.seeds, self.output, norm)

    def build_encoder(self, role: str, outputs: int, extra: int = 0, norm: bool = True) -> Any:
        """An encoder: a network from data to ``outputs`` numbers.

        Args:
            role: Name of the network. Its initial weights depend on it.
            outputs: Number of outputs.
            extra: Number of further inputs, given as a condition.
            norm: False builds it without batch norm.
        """
        return self.family.encoder(role, self.data_shape, outputs, self.seeds, extra, norm)

    def build_discriminator(
        self, role: str = "discriminator", outputs: int = 1, extra: int = 0, norm: bool = True
    ) -> Any:
        """A discriminator or critic: an encoder that sees its data with the protocol's instance noise.

        The arguments are those of ``build_encoder``.
        """
        return self._with_instance_noise(self.build_encoder(role, outputs, extra, norm))

    def replicate(self, make: Callable[[], nn.Module], role: str, weights: str | Path | None = None) -> Any:
        """A network of your own: one copy of an ordinary ``nn.Module`` per seed.

        Batch norm and dropout are each seed's own: running statistics are kept per seed, and random numbers come from
        streams of the role, the seed and the iteration.

        Args:
            make: Makes one copy, as in ``self.replicate(lambda: Net(), role="discriminator")``. It is called once per
                seed, each time with random numbers of the role and that seed.
            role: Name of the network. One that begins with "discriminator" sees data through the protocol's instance
                noise.
            weights: File that every copy starts from: the state dict of one such network, by safetensors or
                ``torch.save``.

        Returns:
            A module that is called as the network is. Tensors go in and come out as ``[S, B, ...]`` where one copy
            takes and returns ``[B, ...]``.

        Raises:
            TypeError: ``make`` does not make networks.
            ValueError: The copies differ in shape or share parameters, or the weights do not fit.
            FileNotFoundError: There is no such file of weights.
        """
        network = Replicated(make, role, self.seeds, self._moment, weights)
        return self._with_instance_noise(network) if role.startswith("discriminator") else network

    def _with_instance_noise(self, network: nn.Module) -> Any:
        return InstanceNoise(network, self.add_instance_noise) if self.training_setup.instance_noise > 0 else network

    def _moment(self) -> tuple[int, ...]:
        """Numbers that differ from call to call and repeat in a resumed run."""
        self._noise_calls += 1
        return (1 if self.iteration < 0 else 0, abs(self.iteration), self._slot, self._noise_calls)

    def add_instance_noise(self, x: Tensor) -> Tensor:
        """Add the protocol's instance noise to the input of a discriminator.

        Each call draws new noise. Only methods that call parts of their discriminator need this; other discriminators
        add it themselves.

        Args:
            x: Data or samples ``[S, B, ...]`` in the scale that networks see.

        Raises:
            ValueError: The noise falls linearly and the number of iterations is unknown.
        """
        t = self.training_setup
        if not t.instance_noise:
            return x
        left = 1.0
        if t.instance_noise_schedule == "linear":
            if not self.planned_iterations:
                raise ValueError("a linear schedule of instance noise needs to know how long training is")
            left = max(0.0, 1 - self.iteration / self.planned_iterations)
        self._noise_calls += 1
        # Several batches may be looked at in one go.
        count = -(-x.shape[1] * num_shards() // t.batch_size)
        name = f"instance {self._noise_calls} of {count}"
        return x + left * t.instance_noise * self._noise(name, "normal", x, x.shape[2:], count)

    def fake(self, z: Tensor) -> Tensor:
        """Generated samples ``G(z)`` without gradient, for the discriminator's step."""
        with torch.no_grad():
            return self.generator(z)

    def random(self, name: str, like: Tensor, distribution: Distribution, *shape: int) -> Tensor:
        """Additional noise for this update.

        Args:
            name: Name of the random stream.
            like: Tensor ``[S, B, ...]`` that gives the batch size and the device.
            distribution: U[-1, 1] or N(0, 1).
            shape: Shape per sample.

        Returns:
            Noise ``[S, B, *shape]``.
        """
        return self._noise(name, distribution, like, shape)

    # Training ---------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> list[tuple[Update, list[nn.Parameter]]]:
        """The updates of the adversarial training, each with the parameters that it changes."""
        if self._steps is None:
            self._steps = _with_parameters(self.updates())
        return self._steps

    @property
    def pretraining_steps(self) -> list[tuple[Update, list[nn.Parameter]]]:
        """The updates of the pre-training, each with the parameters that it changes."""
        if self._pretraining_steps is None:
            self._pretraining_steps = _with_parameters(self.pretraining())
        return self._pretraining_steps

    @property
    def calls_per_iteration(self) -> int:
        """Optimizer calls per iteration."""
        return sum(update.n_steps for update, _ in self.steps)

    @property
    def draws_per_iteration(self) -> int:
        """Batches per iteration."""
        return self.calls_per_iteration if self.training_setup.draws == "update" else 1

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        t = self.training_setup
        steps = self.pretraining_steps + self.steps
        if t.optimizer == "rmsprop":
            return [torch.optim.RMSprop(p, lr=u.lr_scale * t.lr) for u, p in steps]
        return [torch.optim.Adam(p, lr=u.lr_scale * t.lr, betas=(t.beta1, t.beta2), fused=True) for u, p in steps]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """Run one iteration per entry ``[draws_per_iteration, S, B, ...]`` of ``batch``.

        Lightning's loop costs as much time as a step of a small network. It is therefore called once for many
        iterations.
        """
        for draws in batch:
            self.iterate(draws)

    def iterate(self, draws: Tensor) -> None:
        """Run one iteration.

        Args:
            draws: Batches ``[draws_per_iteration, S, B, ...]``. If several processes share a batch, each of them gets
                the whole batch and uses its own shard.
        """
        with sharded_batch(draws.shape[2]):
            self._iterate(draws)

    def _iterate(self, draws: Tensor) -> None:
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        waiting: list[tuple[Any, Update]] = []
        self._slot = 0
        first = len(self.pretraining_steps)
        before = self.iteration < 0
        steps = self.pretraining_steps if before else self.steps
        for (update, parameters), optimizer in zip(
            steps, optimizers[:first] if before else optimizers[first:], strict=True
        ):
            for _ in range(update.n_steps):
                self._noise_calls = 0
                x = local_shard(draws[self._slot if len(draws) > 1 else 0])
                loss = update.loss(x, self._latents(x))
                for parameter in parameters:
                    parameter.grad = None
                self.manual_backward(loss.sum(), inputs=parameters)
                average_gradients(parameters)
                if self.simultaneous:
                    waiting.append((optimizer, update))
                else:
                    self._step(optimizer, update)
                self._slot += 1
            self._losses.setdefault(update.name, []).append(all_reduce_mean(loss.detach()))
        for optimizer, update in waiting:
            self._step(optimizer, update)
        self.iteration += 1

    def _step(self, optimizer: Any, update: Update) -> None:
        rate = self.learning_rate(update.lr_scale)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()

    def learning_rate(self, lr_scale: float = 1.0) -> float:
        """The current learning rate of an update with this ``lr_scale``."""
        t = self.training_setup
        per_call = t.lr_counter == "optimizer-calls"
        count = self.iteration * self.calls_per_iteration + self._slot if per_call else self.iteration
        return lr_scale * t.lr * t.lr_decay ** (max(0, count) // t.lr_decay_every)

    def adam_state(self, parameters: Sequence[nn.Parameter]) -> tuple[int, list[Tensor], list[Tensor]]:
        """State of the Adam optimizer that updates ``parameters``.

        Returns:
            Number of steps, first moments and second moments. They are zeros before the first step.

        Raises:
            ValueError: No optimizer updates these parameters.
        """
        optimizers = self.optimizers()
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            if any(p is parameters[0] for group in optimizer.param_groups for p in group["params"]):
                # Lightning wraps optimizers.
                state = getattr(optimizer, "optimizer", optimizer).state
                found = [state.get(p, {}) for p in parameters]
                first, second = (
                    [entry.get(name, torch.zeros_like(p)) for p, entry in zip(parameters, found, strict=True)]
                    for name in ("exp_avg", "exp_avg_sq")
                )
                return int(found[0].get("step", 0)), first, second
        raise ValueError("no optimizer moves these parameters")

    def _latents(self, x: Tensor) -> Tensor:
        return self._noise("z", self.training_setup.prior, x, (self.training_setup.latent_dim,))

    def _noise(
        self, name: str, distribution: Distribution, like: Tensor, shape: Sequence[int], batches: int = 1
    ) -> Tensor:
        slot = self._slot if self.training_setup.draws == "update" else 0
        shape = (batches * self.training_setup.batch_size, *shape)
        name, iteration = f"{name}/{slot}", self.iteration
        if iteration < 0:
            name, iteration = f"pretraining {name}", -iteration
        noise = self.noise(name, iteration, distribution, shape)[:, : like.shape[1] * num_shards()]
        return local_shard(noise).to(like.device)

    def take_losses(self) -> dict[str, Tensor]:
        """Return the losses since the last call, ``[iterations, S]`` by name of the update, and clear them."""
        losses = {name: torch.stack(values) for name, values in self._losses.items()}
        self._losses = {}
        return losses

    def trace(self, name: str, values: Tensor) -> None:
        """Log a quantity of this iteration; the record stores its mean over each epoch as a curve.

        Args:
            name: Name of the curve.
            values: One value per seed, ``[S]``.
        """
        self._traces.setdefault(name, []).append(all_reduce_mean(values.detach()))

    def traced(self, name: str, x: Tensor) -> Tensor:
        """Return ``x [S, B, ...]`` and log the size of the gradient with respect to it.

        The logged value is the absolute gradient per sample, averaged over batch and coordinates. It is multiplied by B
        because losses are means over the batch.
        """
        same = x.view_as(x)
        if same.requires_grad:
            same.register_hook(lambda gradient: self.trace(name, gradient.abs().flatten(1).mean(1) * x.shape[1]))
        return same

    def take_traces(self) -> dict[str, Tensor]:
        """Return the logged quantities since the last call, ``[iterations, S]`` by name, and clear them."""
        traces = {name: torch.stack(values) for name, values in self._traces.items()}
        self._traces = {}
        return traces

    # Sampling ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, n: int, generators: Sequence[np.random.Generator]) -> Tensor:
        """Draw samples from every seed's model.

        The random streams of training and the module's mode stay unchanged.

        Args:
            n: Samples per seed.
            generators: One random generator per seed.

        Returns:
            Samples ``[S, n, *data_shape]``.
        """
        return torch.cat(list(self.sample_batches(n, generators, n)), 1)

    @torch.no_grad()
    def sample_batches(self, n: int, generators: Sequence[np.random.Generator], size: int) -> Iterator[Tensor]:
        """Yield the samples of ``sample`` in batches of ``size``."""
        t = self.training_setup
        z = torch.from_numpy(np.stack([draw(g, t.prior, (n, self.noise_dim)) for g in generators]))
        for part in z.split(size, 1):
            with self.evaluating(t.norm_at_evaluation):
                yield self.generate(part.to(self.device))

    @contextmanager
    def evaluating(self, statistics: Literal["running", "batch"]) -> Iterator[None]:
        """Use evaluation mode inside the ``with`` block and restore the previous modes afterwards.

        Args:
            statistics: Whether batch norm uses its running statistics or those of the batch.
        """
        was = [(module, module.training) for module in self.modules()]
        norms = [module for module in self.modules() if isinstance(module, (SeedBatchNorm, ImageBatchNorm))]
        momenta = [norm.momentum for norm in norms]
        plain = [module for module in self.modules() if isinstance(module, _BatchNorm)]
        tracked = [norm.track_running_stats for norm in plain]
        self.eval()
        if statistics == "batch":
            for norm in norms:
                # Without momentum the running statistics stay as they are.
                norm.training, norm.momentum = True, 0.0
            for ordinary in plain:
                # PyTorch's own would count the batch with any momentum.
                ordinary.training, ordinary.track_running_stats = True, False
        try:
            yield
        finally:
            for module, mode in was:
                module.training = mode
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
            for ordinary, tracks in zip(plain, tracked, strict=True):
                ordinary.track_running_stats = tracks

    # Checkpoints ------------------------------------------------------------------------------------------------

    def weights_of(self, slot: int) -> dict[str, Tensor]:
        """Weights that copy ``slot`` needs for sampling and encoding, with the shapes of a module of one seed."""
        count, state = len(self.seeds), self.state_dict()
        kept = {name: value for name, value in state.items() if name.partition(".")[0] in self.samplers}
        # Running statistics have seeds and channels in one axis.
        return {name: value.unflatten(0, (count, -1))[slot].cpu().clone() for name, value in kept.items()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Load weights from ``weights_of`` into a module of one seed.

        Raises:
            ValueError: The weights belong to other networks.
        """
        missing, unknown = self.load_state_dict(dict(weights), strict=False)
        if unknown or any(name.partition(".")[0] in self.samplers for name in missing):
            raise ValueError(f"these weights are not of {self.name}'s networks")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["iteration"] = self.iteration

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.iteration = checkpoint["iteration"]


def _with_parameters(updates: Iterator[Update]) -> list[tuple[Update, list[nn.Parameter]]]:
    """Pair every update with the parameters that it changes.

    Raises:
        TypeError: ``updates()`` is no generator of valid updates.
        ValueError: An update has no parameters to train.
    """
    if not isinstance(updates, Iterable):
        raise TypeError(f"updates() returns {updates!r}: write it as a generator, yield Update(...) for every step")
    found = []
    for update in updates:
        if not isinstance(update, Update):
            raise TypeError(f"updates() yields {_said(update)}: yield Update(self.LOSS, params=(self.NETWORK,))")
        if not callable(update.loss):
            raise TypeError(
                f"an Update has the loss {_said(update.loss)}: give it the function, Update(self.LOSS, ...), not what"
                " the function returns"
            )
        if not isinstance(update.params, (tuple, list)):
            raise TypeError(
                f"the params of {update.loss_name} are no tuple, but {_said(update.params)}: "
                "write params=(self.NETWORK,), with a comma"
            )
        for network in update.params:
            if not isinstance(network, nn.Module):
                raise TypeError(f"the params of {update.loss_name} hold {_said(network)}: they are networks")
        # Frozen parameters, of a network that came with weights, stay as they are.
        parameters = [p for network in update.params for p in network.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(f"the params of {update.loss_name} have no parameters to train")
        found.append((update, parameters))
    return found


def _said(value: Any) -> str:
    """A wrong value as error messages print it."""
    return repr(value) if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"
