"""What every method keeps; and that each check finds a method that does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.checks import conformance
from benchmark.checks.conformance import CHECKS, Broken, Case, Check
from benchmark.cli import main
from benchmark.spec.registry import methods
from modules.base import Update
from modules.gan import GAN

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", methods())
def test_every_method_keeps_its_promises(name: str, check: Check) -> None:
    check(Case.of(name))


@pytest.mark.parametrize("check", [conformance.gradients_stay_apart, conformance.resumes_exactly])
@pytest.mark.parametrize(("name", "dataset"), [("vae-gan", "digits-1k"), ("mdgan", "digits-1k")])
def test_methods_keep_them_on_images(name: str, dataset: str, check: Check) -> None:
    case = Case.of(name, dataset=dataset)
    assert case.build().generator(torch.zeros(2, 1, case.training().latent_dim)).shape[2:] == case.data_shape
    check(case)


def test_a_check_on_images_finds_who_breaks_it() -> None:
    with pytest.raises(Broken, match=r"devices, meta and cpu|two different devices meta, cpu"):
        conformance.runs_where_its_data_are(Case.of(f"{__name__}:Misplaced", dataset="digits"))


class Careless(GAN):
    name = ""


class GlobalWeights(Careless):
    """Starts from random numbers that all seeds share."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for weight in self.generator.parameters():
            nn.init.normal_(weight)


class OneLoss(Careless):
    """Takes the mean over seeds, too."""

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return super().generator_loss(x, z).mean().expand(len(self.seeds))


class NoSeeds(Careless):
    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return super().generator_loss(x, z).mean()


class Mixing(Careless):
    """Scales losses by what all seeds have in common, out of the gradient's sight."""

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return super().generator_loss(x, z) * (1 + x.mean())


class Silent(Careless):
    """Hides that a seed has diverged."""

    def discriminator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return super().discriminator_loss(x.nan_to_num(), z)


class Idle(Careless):
    """Builds a network that no update moves."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.encoder = self.build_encoder("encoder", 2)


class Meddling(Careless):
    """Moves the discriminator by hand in the generator's update."""

    def _step(self, optimizer: Any, update: Update) -> None:
        super()._step(optimizer, update)
        with torch.no_grad():
            self.discriminator.layers[0].bias += 0.1


class Uncounted(Careless):
    """Takes two iterations for one."""

    def iterate(self, draws: Tensor) -> None:
        super().iterate(draws)
        super().iterate(draws)


class SameName(Careless):
    def updates(self) -> Iterator[Update]:
        yield Update(self.discriminator_loss, params=(self.discriminator,))
        yield Update(self.generator_loss, params=(self.generator,))
        yield Update(self.generator_loss, params=(self.generator,))


class Flat(Careless):
    """Forgets the seeds' axis."""

    def generate(self, z: Tensor) -> Tensor:
        return super().generate(z).flatten(0, 1)


class Unscaled(Careless):
    def generate(self, z: Tensor) -> Tensor:
        return super().generate(z) * 10


class Dicing(Careless):
    """Draws random numbers of its own while it makes samples."""

    def generate(self, z: Tensor) -> Tensor:
        return super().generate(z + torch.randn_like(z))


class Counting(Careless):
    """Counts its samples, and trains by the count."""

    count = 0

    def generate(self, z: Tensor) -> Tensor:
        self.count += 1
        return super().generate(z)

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return super().generator_loss(x, z) / (1 + self.count)


class Misplaced(Careless):
    """Makes a tensor on the CPU, whatever the device."""

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return super().generator_loss(x, z + torch.zeros(z.shape))


class Forgetful(Careless):
    """Trains by a number that no checkpoint has."""

    seen = 0

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        self.seen += 1
        return super().generator_loss(x, z) / self.seen


class Falling(Careless):
    """Raises where one seed diverges, for all."""

    def generator_loss(self, x: Tensor, z: Tensor) -> Tensor:
        loss = super().generator_loss(x, z)
        if not loss.isfinite().all():
            raise FloatingPointError("the generator diverged")
        return loss


@pytest.mark.parametrize(
    ("broken", "check", "why"),
    [
        (GlobalWeights, conformance.starts_apart, "seed 3 starts otherwise"),
        (OneLoss, conformance.gradients_stay_apart, "of one seed has a gradient in generator"),
        (NoSeeds, conformance.gradients_stay_apart, "generator_loss gives [] for 3 seeds"),
        (Mixing, conformance.neighbours_do_not_matter, "trains otherwise beside other seeds"),
        (Mixing, conformance.nan_stays_alone, "the NaN of one seed changes the others"),
        (Silent, conformance.nan_stays_alone, "does not count as diverged"),
        (Idle, conformance.moves_what_it_says, "no update trains encoder"),
        (Meddling, conformance.moves_what_it_says, "names generator and trains discriminator, generator"),
        (Uncounted, conformance.counts_updates, "8 iterations are counted"),
        (SameName, conformance.counts_updates, "name each its own"),
        (Flat, conformance.samples_have_their_shape, "have shape [3, 2], not [3, 1, 2]"),
        (Unscaled, conformance.samples_have_their_shape, "end in self.output"),
        (Dicing, conformance.samples_repeat, "draw nothing else in generate()"),
        (Dicing, conformance.sampling_changes_nothing, "global random numbers are used"),
        (Counting, conformance.sampling_changes_nothing, "trains otherwise"),
        (Misplaced, conformance.runs_where_its_data_are, "devices, meta and cpu"),
        (Forgetful, conformance.resumes_exactly, "goes on otherwise"),
        (Silent, conformance.diverges_cleanly, "count as divergence in None"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
def test_each_check_finds_who_breaks_it(broken: type[GAN], check: Check, why: str) -> None:
    with pytest.raises(Broken) as found:
        check(Case.of(f"{__name__}:{broken.__name__}"))
    # The second is how PyTorch 2.11 puts it.
    assert why in str(found.value).replace("two different devices meta, cpu", "devices, meta and cpu")


def test_a_method_that_raises_fails_in_one_line() -> None:
    found = dict(conformance.check_method(Case.of(f"{__name__}:Falling")))
    first, again = found[conformance.nan_stays_alone], found[conformance.diverges_cleanly]
    assert first.startswith("FloatingPointError: the generator diverged (") and "test_conformance.py, line" in first
    assert again == "as above", "each mistake is said once"
    assert found[conformance.samples_repeat] == ""


@pytest.mark.parametrize(("broken", "status"), [("Careless", 0), ("Misplaced", 1)])
def test_the_command_says_so(broken: str, status: int, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(conformance, "CHECKS", CHECKS[-5:-2])
    assert main(["check", f"{__name__}:{broken}"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert [line.split()[0] for line in lines[:2]] == ["ok", "ok"]
    assert lines[2].startswith("failed  Everything is computed on the device") == bool(status)
    assert lines[3] == f"{__name__}:{broken} keeps {3 - status} of 3 promises"
    assert main(["check", "gan", "--dataset", "digitz"]) == 2
    assert "did you mean 'digits'?" in capsys.readouterr().err
    assert main(["check", "gann"]) == 2
    assert "did you mean 'gan'?" in capsys.readouterr().err
