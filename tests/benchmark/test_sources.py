"""The hash of sources: what makes a record stale, and what does not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark import sources
from benchmark.registry import methods
from benchmark.sources import sources_of
from datamodules.grid25_gaan import GRID25_GAAN
from modules.networks import NETWORKS, MLPFamily

METHOD = """
from toy.losses import helpful
from toy.parts import Part

LIMIT = 3


class Base:
    def common(self):
        return LIMIT


class Method(Base):
    part = Part

    def loss(self, x):
        return helpful(x) + 1
"""

LOSSES = """
SCALE = 2.0


def deeper(x):
    return x * SCALE


def helpful(x):
    return deeper(x) - 1


def unused(x):
    return x
"""

PARTS = """
class Part:
    size: int = 4


class Other:
    size: int = 5
"""

TOY = {"__init__": "", "method": METHOD, "losses": LOSSES, "parts": PARTS}

Hash = Callable[..., str]


@pytest.fixture
def hash_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hash:
    """The hash of ``toy.method:Method`` when the files of the package ``toy`` read so, each call anew."""
    count = 0

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        sources._read.cache_clear()
        sources._take_apart.cache_clear()

    def fresh(**changed: str) -> str:
        nonlocal count
        count += 1
        root = tmp_path / str(count)
        package = root / "toy"
        package.mkdir(parents=True)
        for name, text in (TOY | changed).items():
            (package / f"{name}.py").write_text(text, encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(root)
            forget()
            found = sources_of(importlib.import_module("toy.method").Method, GRID25_GAAN, "gaan-1")
        forget()
        return found

    return fresh


def edited(text: str, before: str, after: str) -> str:
    assert text.count(before) == 1, before
    return text.replace(before, after)


def test_the_same_sources_have_the_same_hash_in_another_folder(hash_of: Hash) -> None:
    assert hash_of() == hash_of()
    assert len(hash_of()) == 16


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("        return helpful(x) + 1", "        # why one is added\n        return helpful(x) + 1  # one"),
        ("    def loss(self, x):\n", '    def loss(self, x):\n        """What it lowers."""\n'),
        ("class Method(Base):\n", 'class Method(Base):\n    """A method."""\n\n'),
        (
            "        return helpful(x) + 1",
            "        return (\n            helpful(\n                x,\n            )\n            + 1\n        )",
        ),
        ("LIMIT = 3", "LIMIT   =   (3)"),
        ("LIMIT = 3", "\n\n\nLIMIT = 0x3"),
        (
            "\nfrom toy.losses import helpful\nfrom toy.parts import Part\n",
            "\nfrom toy.parts import Part\nfrom toy.losses import helpful\n",
        ),
        ("\nfrom toy.losses", '\n"""A file."""\n\nfrom toy.losses'),
        ("LIMIT = 3", 'LIMIT = 3\n"""Why three."""'),
    ],
    ids=[
        "comments",
        "docstring",
        "class docstring",
        "line breaks",
        "spaces",
        "literal",
        "imports",
        "file",
        "attribute",
    ],
)
def test_comments_docstrings_and_layout_do_not_count(hash_of: Hash, before: str, after: str) -> None:
    assert hash_of(method=edited(METHOD, before, after)) == hash_of()


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("method", "helpful(x) + 1", "helpful(x) - 1"),
        ("method", "helpful(x) + 1", "helpful(x) + 1.0"),
        ("method", "helpful(x) + 1", "helpful(x) + True"),
        ("method", "def loss(self, x)", "def loss(self, x, y=None)"),
        ("method", "LIMIT = 3", "LIMIT = 4"),
        ("method", "class Method(Base)", "class Method"),
        ("method", "        return LIMIT", "        return -LIMIT"),
        ("method", "        return LIMIT", '        return "LIMIT"'),
        ("losses", "deeper(x) - 1", "deeper(x) - 2"),
        ("losses", "x * SCALE", "x + SCALE"),
        ("losses", "SCALE = 2.0", "SCALE = 2.5"),
        ("parts", "size: int = 4", "size: int = 6"),
    ],
)
def test_a_change_of_anything_used_counts_however_deep(hash_of: Hash, file: str, before: str, after: str) -> None:
    assert hash_of(**{file: edited(TOY[file], before, after)}) != hash_of()


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("method", "LIMIT = 3", "LIMIT = 3\nMORE = 4\n\n\ndef another():\n    return LIMIT + MORE"),
        ("method", "\nfrom toy.losses", "\nimport math\nfrom toy.losses"),
        ("losses", "def deeper", "def added(x):\n    return deeper(x)\n\n\ndef deeper"),
        ("losses", "def unused(x):\n    return x", "def unused(x):\n    return x + 1"),
        ("losses", "\n\ndef unused(x):\n    return x\n", "\n"),
        ("parts", "size: int = 5", "size: int = 9"),
    ],
)
def test_what_stands_beside_and_is_not_used_does_not_count(hash_of: Hash, file: str, before: str, after: str) -> None:
    assert hash_of(**{file: edited(TOY[file], before, after)}) == hash_of()


def test_annotations_do_not_count(hash_of: Hash) -> None:
    annotated = "from __future__ import annotations\n" + edited(METHOD, "import Part", "import Other, Part")
    annotated = edited(annotated, "def loss(self, x):", "def loss(self, x: Other) -> Other:\n        y: Other")
    assert hash_of(method=annotated) == hash_of(method=annotated, parts=edited(PARTS, "size: int = 5", "size: int = 9"))
    used = edited(annotated, "y: Other", "y: Other = Other()")
    assert hash_of(method=used) != hash_of(method=used, parts=edited(PARTS, "size: int = 5", "size: int = 9"))


def test_a_used_definition_counts_wherever_its_name_comes_from(hash_of: Hash) -> None:
    renamed = edited(METHOD, "import helpful", "import helpful as kind")
    renamed = edited(renamed, "helpful(x) +", "kind(x) +")
    relative = edited(METHOD, "from toy.losses", "from .losses")
    whole = edited(METHOD, "from toy.losses import helpful", "import toy.losses as losses")
    whole = edited(whole, "helpful(x) +", "losses.helpful(x) +")
    changed = edited(LOSSES, "x * SCALE", "x / SCALE")
    for method in (renamed, relative, whole):
        assert hash_of(method=method, losses=changed) != hash_of(method=method)


def test_a_change_counts_through_an_imported_submodule(hash_of: Hash) -> None:
    method = edited(METHOD, "from toy.losses import helpful", "from toy import losses")
    method = edited(method, "helpful(x) +", "losses.helpful(x) +")
    assert hash_of(method=method, losses=edited(LOSSES, "x * SCALE", "x / SCALE")) != hash_of(method=method)


def test_a_change_counts_through_a_dotted_import(hash_of: Hash) -> None:
    method = edited(METHOD, "from toy.losses import helpful", "import toy.losses")
    method = edited(method, "helpful(x) +", "toy.losses.helpful(x) +")
    assert hash_of(method=method, losses=edited(LOSSES, "x * SCALE", "x / SCALE")) != hash_of(method=method)


def test_a_change_counts_through_a_name_that_a_package_passes_on(hash_of: Hash) -> None:
    method = edited(METHOD, "from toy.losses import helpful", "from toy import helpful")
    passing = "from toy.losses import helpful\n"
    before = hash_of(__init__=passing, method=method)
    assert hash_of(__init__=passing, method=method, losses=edited(LOSSES, "x * SCALE", "x / SCALE")) != before


def test_a_change_of_constants_that_are_unpacked_counts(hash_of: Hash) -> None:
    before, after = (edited(METHOD, "LIMIT = 3", f"LIMIT, OTHER = {value}, 0") for value in (3, 4))
    assert hash_of(method=before) != hash_of(method=after)


def test_every_method_has_a_hash_of_its_own() -> None:
    hashes = {name: sources_of(method, GRID25_GAAN, "gaan-1") for name, method in methods().items()}
    assert len(set(hashes.values())) == len(hashes) > 3


def followed(name: str) -> set[str]:
    """Every definition that the hash of a method covers."""
    found: dict[str, sources.Shape] = {}
    for root in sources.roots(methods()[name], GRID25_GAAN, "gaan-1"):
        sources._follow(root.__module__, root.__name__, sources._HOUSE, found)
    return set(found)


@pytest.mark.parametrize("name", methods())
def test_a_method_its_networks_its_data_and_its_measures_are_covered(name: str) -> None:
    covered = followed(name)
    expected = {
        "modules.base:AdversarialModule",
        "modules.base:Training",
        "modules.networks:MLP",
        "modules.networks:MLPFamily",
        "modules.networks:SeedLinear",
        "modules.noise:Noise",
        "modules.noise:draw",
        "modules.noise:_CHUNK_ITERATIONS",
        "datamodules.mixture:GaussianMixture",
        "datamodules.mixture:SeededBatches",
        "evaluators.registered:registered_counts",
        "evaluators.registered:tv_true",
        "benchmark.evaluation:inside_share",
        "benchmark.evaluation:evaluation_generators",
    }
    assert expected <= covered
    assert not {key for key in covered if key.startswith("datamodules.images") or key.startswith("evaluators.digits")}
    bases = {base.__module__ for base in methods()[name].__mro__}
    others = {method.__module__ for other, method in methods().items() if other != name} - bases
    assert not {key for key in covered if key.partition(":")[0] in others}


def test_losses_that_a_method_does_not_use_are_not_covered() -> None:
    assert "modules.losses:gradient_penalty" in followed("gaan")
    assert "modules.losses:gradient_penalty" not in followed("gan")
    assert "modules.losses:per_seed" in followed("gan")


def test_the_chosen_networks_and_data_count_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gan = methods()["gan"]
    before = sources_of(gan, GRID25_GAAN, "gaan-1")
    monkeypatch.setitem(NETWORKS, "added", MLPFamily(hidden=1, width=2, source="this test"))
    assert sources_of(gan, GRID25_GAAN, "gaan-1") == before
    assert sources_of(gan, GRID25_GAAN, "added") != before
    monkeypatch.setitem(NETWORKS, "gaan-1", MLPFamily(hidden=3, width=129, source="this test"))
    assert sources_of(gan, GRID25_GAAN, "gaan-1") != before


def test_data_count_by_their_numbers_and_not_by_their_citation() -> None:
    gan = methods()["gan"]
    before = sources_of(gan, GRID25_GAAN, "gaan-1")
    assert sources_of(gan, replace(GRID25_GAAN, source="elsewhere"), "gaan-1") == before
    assert sources_of(gan, replace(GRID25_GAAN, std=0.06), "gaan-1") != before
