"""Versions: what makes a record stale, and what does not."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from pathlib import Path

import pytest

import modules
from benchmark.analysis.frame import is_stale
from benchmark.spec import registry, versions
from benchmark.spec.methods import describe, house_methods
from benchmark.spec.protocol import Protocol
from benchmark.spec.registry import datasets, methods
from benchmark.spec.run import Run
from benchmark.spec.versions import PARTS, differing, version_of, versions_of
from benchmark.training.evaluation import MEASURES
from evaluators.names import MEASURE_VERSIONS
from modules.base import AdversarialModule
from modules.families import NETWORKS, families, find_family
from modules.gan import GAN
from tests.benchmark.made import make_record

RUN = Run("ring8", "gan", Protocol(profile="test", samples=50), 0)


@pytest.mark.parametrize("name", methods())
def test_every_method_states_its_own_version(name: str) -> None:
    assert house_methods()[name].version >= 1


@pytest.mark.parametrize("name", datasets())
def test_every_data_set_states_its_version(name: str) -> None:
    assert version_of(datasets()[name]) >= 1


def test_every_family_of_networks_and_of_measures_has_a_version() -> None:
    assert all(find_family(name).version >= 1 for name in families())
    assert MEASURE_VERSIONS.keys() == MEASURES.keys() and all(version >= 1 for version in MEASURE_VERSIONS.values())


def test_a_class_that_states_no_version_does_not_inherit_one() -> None:
    class Mine(GAN):
        name = ""

    assert describe("gan", GAN).version >= 1
    assert describe("mine", Mine).version == 0


def test_a_record_holds_every_version() -> None:
    record, _ = make_record(RUN)
    assert tuple(record.versions) == PARTS
    assert all(record.versions.values())


def test_a_method_from_outside_without_a_version_counts_as_version_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_v.py").write_text("from modules.gan import GAN\n\n\nclass Mine(GAN):\n    name = ''\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    record, _ = make_record(dataclasses.replace(RUN, method="mine_v:Mine"))
    assert record.versions["method"] == 0
    assert record.versions["networks"] >= 1


@pytest.mark.parametrize("part", PARTS)
def test_a_version_that_moves_on_makes_records_stale(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record, _ = make_record(RUN)
    assert not is_stale(RUN, record)
    if part == "method":
        changed_methods = {"gan": dataclasses.replace(house_methods()["gan"], version=99)}
        monkeypatch.setattr(registry, "house_methods", lambda: changed_methods)
    elif part == "dataset":
        changed = dataclasses.replace(registry.dataset("ring8"), version=99)
        monkeypatch.setattr(registry, "datasets", lambda: {"ring8": changed})
    elif part == "measures":
        monkeypatch.setitem(MEASURE_VERSIONS, "quality", 99)
    elif part == "networks":
        monkeypatch.setitem(NETWORKS, "gaan-1", dataclasses.replace(NETWORKS["gaan-1"], version=99))
    else:
        monkeypatch.setattr(versions, "TRAINING_VERSION", 99)
    assert is_stale(RUN, record)
    assert differing(record.versions, versions_of(RUN)) == f"{part} {record.versions[part]}, now 99"


def test_what_a_record_does_not_depend_on_leaves_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    record, _ = make_record(RUN)
    changed = {**house_methods(), "gaan": dataclasses.replace(house_methods()["gaan"], version=99)}
    monkeypatch.setattr(registry, "house_methods", lambda: changed)
    monkeypatch.setitem(MEASURE_VERSIONS, "registered", 99)
    monkeypatch.setitem(NETWORKS, "another", dataclasses.replace(NETWORKS["gaan-1"], version=99))
    assert not is_stale(RUN, record)


@pytest.mark.parametrize("name", house_methods())
def test_a_description_says_what_the_class_says(name: str) -> None:
    found, known = describe(name, methods()[name]), house_methods()[name]
    assert (found.name, found.path, found.version) == (known.name, known.path, known.version)
    assert dict(found.defaults) == dict(known.defaults)
    assert found.summary == known.summary


def test_every_method_is_described() -> None:
    classes = [
        value
        for info in pkgutil.iter_modules(modules.__path__)
        for value in vars(importlib.import_module(f"modules.{info.name}")).values()
        if isinstance(value, type) and issubclass(value, AdversarialModule) and value.name
    ]
    assert {found.name for found in classes} == set(house_methods())
