"""Ids of runs: what they are a hash of, and that they stay."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from dataclasses import dataclass

import pytest

from benchmark.spec.block import Block, drop_finished, make_blocks
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run, as_dict, digest
from modules.options import Training

PAPER = Protocol(profile="paper", reading="corrected", epochs=500, width=4, beta1=0.8, lr_decay=0.9)
RUN = Run("grid25-gaan", "gan", PAPER, 0)

#: One other value for every field of the protocol.
OTHER = {
    "networks": "another",
    "latent_dim": 3,
    "prior": "normal",
    "scaling": "none",
    "norm_at_evaluation": "batch",
    "batch_size": 64,
    "optimizer": "rmsprop",
    "lr": 1e-4,
    "beta1": 0.5,
    "beta2": 0.9,
    "lr_decay": 0.5,
    "lr_decay_every": 20_000,
    "lr_counter": "optimizer-calls",
    "draws": "update",
    "profile": "short",
    "reading": "printed",
    "epochs": 60,
    "fresh_iterations": 500,
    "embedding": "projected",
    "width": 8,
    "precision": "16-mixed",
    "world_size": 2,
    "channels_last": True,
    "compile": True,
    "samples": 2_500,
    "real_samples": 2_000,
    "evaluate_every": 5,
    "features": "none",
    "inverted": 64,
    "mode_radius": 0.15,
    "mode_min_points": 1,
    "instance_noise": 0.1,
    "instance_noise_schedule": "linear",
    "frames": "1,10",
}


def with_protocol(**fields: object) -> Run:
    return dataclasses.replace(RUN, protocol=dataclasses.replace(PAPER, **fields))


def test_the_id_of_a_published_run_stays() -> None:
    """Stored records are found by these: a change of a default or of the hash loses every one of them."""
    assert RUN.id == "36d7b865dacbeb6b"
    assert Run("grid25-gaan", "gaan", PAPER, 3, (("lambda_r", 0.0),)).id == "18b95f9f711ef34f"


def test_the_id_is_a_hash_of_canonical_json() -> None:
    assert RUN.identity() == {
        "dataset": "grid25-gaan",
        "method": "gan",
        "overrides": {},
        "protocol": {"beta1": 0.8, "lr_decay": 0.9, "epochs": 500, "width": 4},
        "seed": 0,
    }
    assert RUN.id == digest(json.loads(json.dumps(RUN.identity())))
    assert len(RUN.id) == 16
    assert set(RUN.id) <= set("0123456789abcdef")


def test_the_defaults_that_ids_leave_out_stay() -> None:
    assert dataclasses.asdict(Protocol()) == {
        "networks": "gaan-1",
        "latent_dim": 2,
        "prior": "uniform",
        "scaling": "unit",
        "norm_at_evaluation": "running",
        "batch_size": 128,
        "optimizer": "adam",
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "lr_decay": 1.0,
        "lr_decay_every": 10_000,
        "lr_counter": "iterations",
        "draws": "iteration",
        "profile": "paper",
        "reading": "corrected",
        "epochs": 1,
        "fresh_iterations": 0,
        "embedding": "padded",
        "width": 8,
        "precision": "32-true",
        "world_size": 1,
        "channels_last": False,
        "compile": False,
        "samples": 2_000,
        "real_samples": 10_000,
        "evaluate_every": 1,
        "features": "inception",
        "inverted": 0,
        "mode_radius": 0.1 * math.sqrt(2),
        "mode_min_points": 20,
        "instance_noise": 0.0,
        "instance_noise_schedule": "constant",
        "frames": "",
    }


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Protocol)])
def test_a_field_equal_to_its_default_leaves_the_id_alone(name: str) -> None:
    default = {f.name: f.default for f in dataclasses.fields(Protocol)}[name]
    given = {k: v for k, v in (("epochs", 500), ("beta1", 0.8)) if k != name}
    left_out, spelled_out = Protocol(**given), Protocol(**given, **{name: default})
    assert name not in as_dict(spelled_out)
    assert Run("d", "m", left_out, 0).id == Run("d", "m", spelled_out, 0).id


def test_a_field_added_later_leaves_the_id_alone_until_it_is_used() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Later(Protocol):
        warmup: int = 0

    fields = {f.name: getattr(PAPER, f.name) for f in dataclasses.fields(PAPER)}
    assert dataclasses.replace(RUN, protocol=Later(**fields)).id == RUN.id
    assert dataclasses.replace(RUN, protocol=Later(**fields, warmup=5)).id != RUN.id


def test_the_id_does_not_depend_on_the_order_of_fields() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Turned(Training):
        width: int = 8
        epochs: int = 1

    turned = Turned(width=4, epochs=500, beta1=0.8, lr_decay=0.9)
    assert list(as_dict(turned)) != list(as_dict(PAPER))
    assert dataclasses.replace(RUN, protocol=turned).id == RUN.id


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Protocol)])
def test_every_field_of_the_protocol_is_part_of_the_id(name: str) -> None:
    assert with_protocol(**{name: OTHER[name]}).id != RUN.id


def test_cells_that_differ_have_different_ids() -> None:
    overrides = [
        (),
        (("lambda_r", 0.0),),
        (("lambda_r", 0.1),),
        (("lambda_p", 0.0),),
        (("lambda_p", 0.0), ("lambda_r", 0.0)),
    ]
    runs = [
        Run(dataset, method, protocol, seed, override)
        for dataset, method, protocol, seed, override in itertools.product(
            ("grid25-gaan", "ring8"),
            ("gan", "gaan"),
            (PAPER, *(with_protocol(**{name: value}).protocol for name, value in OTHER.items())),
            (0, 1, 10),
            overrides,
        )
    ]
    assert len({run.id for run in runs}) == len(runs) == 2 * 2 * (1 + len(OTHER)) * 3 * 5


def test_the_id_does_not_depend_on_the_order_of_overrides() -> None:
    overrides = (("lambda_p", 0.1), ("lambda_r", 0.0), ("penalty", "rms"))
    ids = {dataclasses.replace(RUN, overrides=order).id for order in itertools.permutations(overrides)}
    assert len(ids) == 1


def test_the_type_of_an_override_counts() -> None:
    values = (1, 1.5, "1", True, "True", -1)
    assert len({dataclasses.replace(RUN, overrides=(("field", value),)).id for value in values}) == len(values)


def test_what_json_has_no_word_for_has_no_id() -> None:
    with pytest.raises(ValueError, match="JSON"):
        _ = dataclasses.replace(RUN, overrides=(("lambda_r", math.nan),)).id


def test_cells_can_be_compared_and_kept_in_sets() -> None:
    assert len({RUN, dataclasses.replace(RUN), dataclasses.replace(RUN, seed=1)}) == 2


def test_blocks_hold_runs_that_differ_in_their_seed_only() -> None:
    other = dataclasses.replace(RUN, overrides=(("lambda_r", 0.0),))
    longer = with_protocol(epochs=600)
    runs = [dataclasses.replace(run, seed=seed) for seed in range(6) for run in (RUN, other, longer)]
    blocks = make_blocks(runs)
    assert [[run.seed for run in block.runs] for block in blocks] == [[0, 1, 2, 3], [4, 5]] * 3
    for block in blocks:
        assert len({dataclasses.replace(run, seed=0) for run in block.runs}) == 1
    assert {run for block in blocks for run in block.runs} == set(runs)


def test_a_block_is_named_by_what_is_left_of_it() -> None:
    (block,) = make_blocks([dataclasses.replace(RUN, seed=seed) for seed in range(4)])
    (whole,) = drop_finished([block], [])
    (part,) = drop_finished([block], [block.runs[1].id])
    assert [run.seed for run in whole.pending] == [0, 1, 2, 3]
    assert [run.seed for run in part.pending] == [0, 2, 3]
    assert part.runs == block.runs
    assert whole.id != part.id
    assert part.id == Block(part.runs, part.pending).id
    assert drop_finished([block], [run.id for run in block.runs]) == []
