"""Typical mistakes in a method from outside: each gets one sentence, from ``run`` and from ``check``."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

import benchmark
from benchmark.checks.conformance import CHECKS, Case, check_method
from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.training import preflight
from modules.base import AdversarialModule, Update
from modules.losses import bce_fake, bce_real, per_seed


def mlp(inputs: int, outputs: int, *last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs), *last)


class Right(AdversarialModule):
    """A GAN of ordinary modules that does everything as it should."""

    def __init__(self, training: Any, data_shape: Any, seeds: Any) -> None:
        super().__init__(training, data_shape, seeds)
        self.generator = self.replicate(lambda: mlp(2, 2, nn.Sigmoid()), role="generator")
        self.discriminator = self.replicate(lambda: mlp(2, 1), role="discriminator")

    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator,))

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(x)) + bce_fake(self.discriminator(self.fake(z)))

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return bce_real(self.discriminator(self.generator(z)))


# Losses ---------------------------------------------------------------------------------------------------------------


class NoPerSeed(Right):
    def generator_loss(self, x, z):
        return softplus(-self.discriminator(self.generator(z)))


class Scalar(Right):
    def generator_loss(self, x, z):
        return softplus(-self.discriminator(self.generator(z))).mean()


class Nothing(Right):
    def generator_loss(self, x, z):
        super().generator_loss(x, z)


class Number(Right):
    def generator_loss(self, x, z):
        return super().generator_loss(x, z).mean().item()


class Detached(Right):
    def generator_loss(self, x, z):
        return bce_real(self.discriminator(self.generator(z).detach()))


class ThroughNumpy(Right):
    def generator_loss(self, x, z):
        return bce_real(self.discriminator(torch.from_numpy(self.generator(z).detach().numpy())))


class OfNumpy(Right):
    def generator_loss(self, x, z):
        return torch.from_numpy(super().generator_loss(x, z).detach().numpy())


class NumpyAtOnce(Right):
    def generator_loss(self, x, z):
        return bce_real(self.discriminator(torch.from_numpy(self.generator(z).numpy())))


class NanAtOnce(Right):
    def generator_loss(self, x, z):
        return super().generator_loss(x, z) + torch.log(torch.tensor(-1.0))


class MixesSeeds(Right):
    def generator_loss(self, x, z):
        return super().generator_loss(x, z).mean().expand(len(self.seeds))


class OneSeed(Right):
    def generator_loss(self, x, z):
        return super().generator_loss(x, z[0])


class Integers(Right):
    def discriminator_loss(self, x, z):
        return super().discriminator_loss((255 * x).long(), z)


class IntegerLoss(Right):
    def discriminator_loss(self, x, z):
        return per_seed((self.discriminator(x) > 0).long())


class GlobalNoise(Right):
    def generator_loss(self, x, z):
        return super().generator_loss(x, z + torch.randn_like(z))


class PythonNoise(Right):
    def generator_loss(self, x, z):
        return super().generator_loss(x, z) * random.random()


class NumpyNoise(Right):
    def generator_loss(self, x, z):
        return super().generator_loss(x, z) * np.random.rand()


class AsksTheTrainer(Right):
    def generator_loss(self, x, z):
        return super().generator_loss(x, z) / (1 + self.trainer.max_epochs)


# Networks -------------------------------------------------------------------------------------------------------------


class PlainSequential(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.discriminator = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1))


class AsManyAsSeeds(Right):
    """Its first axis has the length of the seeds by chance."""

    def __init__(self, *words):
        super().__init__(*words)
        self.discriminator = nn.Linear(2, len(preflight.TRIO))


class ListOfNetworks(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.discriminator = nn.ModuleList(mlp(2, 1) for _ in self.seeds)

    def discriminator_loss(self, x, z):
        return torch.stack([softplus(-d(x[s])).mean() for s, d in enumerate(self.discriminator)])


class PythonList(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.discriminators = [mlp(2, 1) for _ in self.seeds]

    def updates(self):
        yield Update(self.discriminator_loss, params=tuple(self.discriminators))
        yield Update(self.generator_loss, params=(self.generator, self.discriminator))


class OneNumber(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.temperature = nn.Parameter(torch.tensor(1.0))


class UnseededBuffer(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.generator.register_buffer("scale", torch.ones(()))


class GlobalWeights(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.prompt = nn.Parameter(torch.randn(len(self.seeds), 2))

    def updates(self):
        yield Update(self.generator_loss, params=(self,))


class BySlot(Right):
    def __init__(self, *words):
        super().__init__(*words)
        with torch.no_grad():
            next(self.generator.parameters())[0] = 0.0


class Instance(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.discriminator = self.replicate(mlp(2, 1), role="discriminator")


class FileForNetwork(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.generator = self.replicate("g.safetensors", role="generator")


class NoSuchWeights(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.generator = self.replicate(lambda: mlp(2, 2), role="generator", weights="g.safetensors")


class IntegerParameters(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.places = nn.Parameter(torch.arange(3))


class NoSuper(Right):
    def __init__(self, training, data_shape, seeds):
        self.generator = self.replicate(lambda: mlp(2, 2), role="generator")


class NoSuperModule(Right):
    def __init__(self, training, data_shape, seeds):
        self.generator = nn.Linear(2, 2)


class NoSuperAtAll(Right):
    def __init__(self, training, data_shape, seeds):
        self.hidden = 3


class NoArguments(Right):
    def __init__(self):
        super().__init__(None, (2,), (0,))


class WrongShape(Right):
    def __init__(self, *words):
        super().__init__(*words)
        self.generator = self.replicate(lambda: mlp(2, 3), role="generator")


class NoGenerator(AdversarialModule):
    def __init__(self, *words):
        super().__init__(*words)
        self.g = self.replicate(lambda: mlp(2, 2), role="generator")

    def updates(self):
        yield Update(self.loss, params=(self.g,))

    def loss(self, x, z):
        return per_seed(self.g(z))


# Updates --------------------------------------------------------------------------------------------------------------


class WrongMoves(Right):
    def updates(self):
        yield Update(self.discriminator_loss, params=(self.generator,))
        yield Update(self.generator_loss, params=(self.discriminator,))


class NeverMoved(Right):
    def updates(self):
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.discriminator,))


class NoComma(Right):
    def updates(self):
        yield Update(self.discriminator_loss, params=(self.discriminator))
        yield Update(self.generator_loss, params=(self.generator,))


class MovesFile(Right):
    def updates(self):
        yield Update(self.discriminator_loss, params=("discriminator.pt",))


class MovesNothing(Right):
    def updates(self):
        yield Update(self.discriminator_loss, params=())


class NoYield(Right):
    def updates(self):
        Update(self.discriminator_loss, params=(self.discriminator,))


class YieldsLoss(Right):
    def updates(self):
        yield self.discriminator_loss


class LossCalled(Right):
    def updates(self):
        yield Update(torch.zeros(2), params=(self.discriminator,))


class YieldsNothing(Right):
    def updates(self):
        yield from ()


class NoUpdates(AdversarialModule):
    pass


MISTAKES = {
    NoPerSeed: r"generator_loss returns \[3, \d+, 1\]: a loss is one number per seed, \[3\] for 3 seeds; losses.per_",
    Scalar: r"generator_loss returns one number for all seeds: a loss is one number per seed, \[3\] for 3 seeds; losse",
    Nothing: "generator_loss returns None: its last line is return LOSS, one number per seed",
    Number: "generator_loss returns a float, no tensor: a loss is one number per seed",
    Detached: r"generator_loss trains generator, and its .* not reach it \(it reaches discriminator\): .*detach\(\)",
    ThroughNumpy: r"generator_loss trains generator, and its gradient does not reach it .*NumPy",
    OfNumpy: r"generator_loss depends on no parameter: .* cuts the gradient: detach\(\), .data, NumPy",
    NumpyAtOnce: r"Can't call numpy\(\) .*; a loss is computed by torch .* \(.*test_preflight.py, line \d+",
    NanAtOnce: "generator_loss is nan in its first iteration",
    MixesSeeds: r"generator_loss of one seed has a gradient in generator.\S+ of another: something takes a mean",
    OneSeed: r"generator_loss fails: network 'generator' got \[\d+, 2\] and takes \[3, B, ...\]: seeds first",
    Integers: r"discriminator_loss fails: .* are torch.float32, no integers \(.*test_preflight.py, line \d+\)",
    IntegerLoss: r"discriminator_loss fails: .* are torch.float32, no integers \(.*test_preflight.py, line \d+\)",
    GlobalNoise: r"generator_loss draws from the global random numbers of PyTorch: take self.random\(NAME, x",
    PythonNoise: "generator_loss draws from the global random numbers of Python",
    NumpyNoise: "generator_loss draws from the global random numbers of NumPy",
    AsksTheTrainer: "generator_loss fails: .*; self.iteration and self.planned_iterations say where training is",
    PlainSequential: r"discriminator is one network that all seeds share .*: write self.discriminator = self.replicate",
    AsManyAsSeeds: "discriminator is one network that all seeds share",
    ListOfNetworks: "discriminator is a list of networks, one per seed: write self.discriminator = self.replicate",
    PythonList: "discriminator_loss trains a network that is no attribute of the method, as those in a list are not",
    OneNumber: r"parameter temperature \[\] is one that all seeds share: give it a leading axis of seeds",
    UnseededBuffer: r"buffer generator.scale \[\] has no leading axis of seeds",
    GlobalWeights: r"making its networks draws from the global random numbers of PyTorch: make networks by self.repl",
    BySlot: "generator.network.0.weight of a seed starts otherwise beside other seeds",
    Instance: r"got a Sequential: give it a function that makes the network, as in replicate\(lambda: Net\(\)",
    FileForNetwork: r"got 'g.safetensors': give it a function .*weights from a file are weights=PATH",
    NoSuchWeights: r"there is no file of weights g.safetensors \(.*test_preflight.py, line \d+\)",
    IntegerParameters: r"floating point.*no integers \(.*test_preflight.py, line \d+\)",
    NoSuper: r"its __init__ begins without super\(\).__init__\(training, data_shape, seeds\)",
    NoSuperModule: r"its __init__ begins without super\(\).__init__\(training, data_shape, seeds\)",
    NoSuperAtAll: r"its __init__ begins without super\(\).__init__\(training, data_shape, seeds\)",
    NoArguments: r"it is called as __init__\(training, data_shape, seeds, \*, FIELDS\)",
    WrongShape: r"samples have shape \[3, 5, 3\] and must have \[3, 5, 2\]: seeds, samples, and the data's \[2\]",
    NoGenerator: r"it makes no samples: .*call the network that makes samples self.generator, or write generate\(z\)",
    WrongMoves: r"discriminator_loss trains generator, and its gradient does not reach it .* names another network",
    NeverMoved: r"no update trains generator, so that it is never trained \(.*\): name it in params",
    NoComma: r"the params of discriminator_loss are no tuple, but a Replicated: write params=\(self.NETWORK,\), with",
    MovesFile: "the params of discriminator_loss hold 'discriminator.pt': they are networks",
    MovesNothing: "the params of discriminator_loss have no parameters to train",
    NoYield: r"updates\(\) returns None: write it as a generator, yield Update",
    YieldsLoss: r"updates\(\) yields a method: yield Update\(self.LOSS, params=",
    LossCalled: "an Update has the loss a Tensor: give it the function",
    YieldsNothing: r"updates\(\) yields no Update",
    NoUpdates: r"NoUpdates does not say how it is trained: write its updates\(\)",
}
every_mistake = pytest.mark.parametrize(
    ("method", "line"), MISTAKES.items(), ids=lambda part: getattr(part, "__name__", "")
)


def run(method: type[AdversarialModule], dataset: str = "ring8") -> Run:
    return Run(dataset, f"{__name__}:{method.__name__}", Protocol(width=2), 0)


@every_mistake
def test_run_refuses_it_in_one_sentence(method: type[AdversarialModule], line: str) -> None:
    before = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    with pytest.raises(UserError, match=line) as found:
        preflight.check_methods([run(method)])
    assert str(found.value).startswith(f"{__name__}:{method.__name__} is not trained: ")
    assert "\n" not in str(found.value)
    assert torch.equal(torch.get_rng_state(), before[0]), "a look costs nobody's random numbers"
    assert repr(np.random.get_state(legacy=False)) == repr(before[1]) and random.getstate() == before[2]


@every_mistake
def test_check_says_it_once(method: type[AdversarialModule], line: str) -> None:
    ((check, wrong),) = check_method(Case.of(f"{__name__}:{method.__name__}"))
    assert check is CHECKS[0]
    with pytest.raises(UserError, match=line):
        raise UserError(wrong)


def test_what_is_right_passes_in_less_than_a_second() -> None:
    preflight.check_methods([run(Right)])
    began = time.process_time()
    preflight.check_methods([run(Right)])
    assert time.process_time() - began < 1


def test_our_own_methods_are_not_tried_at_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(preflight, "inspect_method", tried.append)
    preflight.check_methods([Run("ring8", "gan", Protocol(), seed) for seed in range(3)])
    assert tried == []
    preflight.check_methods([Run("ring8", f"{__name__}:Right", Protocol(), seed) for seed in range(3)])
    assert len(tried) == 1, "once for all seeds"


@pytest.mark.parametrize("engine", [[], ["--engine", "inline"]])
def test_run_stops_before_anything_is_trained(engine: list[str], tmp_path: Path, capsys: Any) -> None:
    words = ["run", "--table", "2", "--profile", "smoke", "--methods", "gan", "--method", f"{__name__}:PlainSequential"]
    assert main([*words, *engine, "--results", str(tmp_path), "--accelerator", "cpu"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "PlainSequential is not trained: discriminator is one network that all seeds share" in said
    assert not list(tmp_path.rglob("*.json")), "also not of the other method"


def test_the_python_api_refuses_it_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not trained: discriminator is one network"):
        benchmark.run(
            "2", profile="smoke", methods=[f"{__name__}:PlainSequential"], results=tmp_path, accelerator="cpu"
        )


def test_check_prints_one_mistake_and_stops(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{__name__}:NoComma"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("failed  ") and first.endswith("with a comma")
    assert last.endswith(f"breaks the first of {len(CHECKS)} promises; mend it and check again, for the others")


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import torch\n\nclass Mine(:\n    pass\n", r"SyntaxError: invalid syntax \(\S*mine_0.py, line 3\)$"),
        ("import torch\n\n\ntorch.zeros(3).frobnicate()\n", r"no attribute 'frobnicate' \(\S*mine_1.py, line 4\)$"),
        ("\nimport no_such_library\n", r"No module named 'no_such_library' \(\S*mine_2.py, line 2\)$"),
        ("import torch\ntorch.zeros(3) @ torch.zeros(4)\n", r"RuntimeError: .* \(\S*mine_3.py, line 2\)$"),
        ("import sys\nsys.exit(0)\n", r"SystemExit: 0 \(\S*mine_4.py, line 2\)$"),
    ],
    ids=["syntax", "attribute", "import", "inside torch", "exit"],
)
def test_a_file_that_does_not_load_is_named_with_its_own_line(
    text: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    name = next(part for part in line.split("\\S*")[1].split(".") if part)
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=line) as found:
        registry.method(f"{name}:Mine")
    assert str(found.value).startswith(f"cannot load --method {name}:Mine: ")
    assert name not in sys.modules


def test_a_mistake_in_a_file_that_another_imports_is_found_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_networks.py").write_text("x = 1\n\n\ny = 1 / 0\n")
    (tmp_path / "my_method.py").write_text("import my_networks\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"ZeroDivisionError: division by zero \(\S*my_networks.py, line 4\)$"):
        registry.method("my_method:Mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r" \(my_networks.py, line 4\)$"):
        registry.method("my_method:Mine")
