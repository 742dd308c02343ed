"""Bad input by the thousand: never a traceback, never exit status 0 on nonsense."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmark import cli
from benchmark.checks import reproduction, throughput
from benchmark.checks.doctor import check_results
from benchmark.cli import train as cli_train
from benchmark.cli.commands.run import RunOptions
from benchmark.cli.main import COMMANDS
from benchmark.cli.parse import flags
from benchmark.errors import UserError
from benchmark.spec import registry
from benchmark.spec.methods import house_methods
from benchmark.spec.overrides import Settings, protocol_fields
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.samples import SUFFIXES, read_samples
from benchmark.store.store import Store
from benchmark.training import callback, checkpoints, classifier, estimate
from benchmark.training.engines import ENGINES
from datamodules import images
from datamodules.images import MissingData
from tests.benchmark.made import make_record, run

pytestmark = pytest.mark.slow

RUN = Run("ring8", "gan", Protocol(epochs=3, samples=200), 0)
FUZZ = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
FEW = settings(FUZZ, max_examples=25)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty working directory, and nothing that takes long: what is asked for counts, not what it does."""

    def offline(*_: object, **__: object) -> None:
        raise MissingData("offline")

    folder = tmp_path_factory.mktemp("nonsense")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(cli_train, "train", lambda *_: (False, []))
        patch.setattr(images, "download", offline)
        patch.setattr(classifier, "train_classifier", offline)
        patch.setattr("evaluators.features.load_extractor", lambda name: None)
        patch.setattr(estimate, "_measure", lambda *_: estimate.Speed())
        patch.setattr(throughput, "measure_throughput", offline)
        patch.setattr(reproduction, "_verify_block", lambda *_: iter(()))
        yield folder


def call(*words: str) -> tuple[int, str]:
    """Exit status and what is said to the user."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(words)
    said = err.getvalue()
    if status == 2:
        assert said.startswith("benchmark: "), (words, said)
        assert len(said.strip().splitlines()) == 1, (words, said)
        assert out.getvalue() == "", words
    return status, said


# Command lines --------------------------------------------------------------------------------------------------------

VALUES = [
    "2",
    "gaan-2",
    "veegan-1",
    "1",
    "gaan-fig5",
    "smoke",
    "short",
    "gan",
    "gan,gaan_2",
    "0-3",
    "8",
    "1,5",
    "ring8",
]
VALUES += ["method.lambda_p=1", "protocol.lr=0.1", "csv", "json", "cpu", "none", "32-true", "2/3", "0.5", "x.npy", "."]
FLAGS = sorted({flag for name, command in COMMANDS.items() for flag in flags(command.load(name)[0])})
WORDS = st.sampled_from(FLAGS) | st.sampled_from(VALUES) | TEXT


@FUZZ
@given(st.sampled_from(sorted(COMMANDS)) | TEXT, st.lists(WORDS, max_size=6))
def test_any_words(verb: str, words: list[str]) -> None:
    status, _ = call(verb, *words)
    assert status in (0, 1, 2)
    if status != 2:
        assert verb in (*COMMANDS, "-h", "--help", "--version")


GOOD = ["run", "--table", "2", "--profile", "smoke", "--methods", "gan", "--seeds", "2"]


def names(*known: str) -> st.SearchStrategy[str]:
    return TEXT.filter(lambda text: text not in known)


def no_number(text: str) -> bool:
    try:
        return not (0 <= float(text) <= 1 or (float(text).is_integer() and float(text) > 1))
    except (ValueError, OverflowError):
        return True


NONSENSE = {
    "--table": names("2", "1", "3", "4"),
    "--profile": names("paper", "short", "smoke"),
    "--reading": names("corrected", "printed", "released"),
    "--methods": names("gan", "ali"),
    "--method": TEXT,
    "--datasets": TEXT.filter(lambda text: text.strip(" ,") != "grid25-gaan"),
    "--seeds": st.from_regex(r"[^0-9]*|[0-9]+-|-[0-9]+|0|[0-9]{7,20}|([0-9],){1,3}", fullmatch=True),
    "--set": TEXT | TEXT.map(lambda text: f"protocol.epochs={text}x") | TEXT.map(lambda text: f"protocol.{text}=1"),
    "--threads": st.from_regex(r"[^0-9]*|-[0-9]+|0+|[0-9]\.[0-9]|[1-9][0-9]{4,20}", fullmatch=True),
    "--shard": st.from_regex(r"[^0-9/]*|[0-9]|0/[0-9]|9/[0-8]|[0-9]/[0-9]/[0-9]|-1/2", fullmatch=True),
    "--format": names("text", "markdown", "latex", "csv", "json", "html"),
    "--precision": names("32-true", "bf16-mixed"),
    "--features": names("inception", "efficientnet-lite0", "none"),
    "--accelerator": names("auto", "cpu", "gpu"),
    "--engine": names(*ENGINES),
    "--jobs": st.from_regex(r"[^0-9]*|-[0-9]+|0+|[0-9]\.[0-9]|[1-9][0-9]{4,20}", fullmatch=True),
    "--devices": st.from_regex(r"[^0-9]*|-[0-9]+|0+", fullmatch=True),
    "--gpus-per-block": TEXT.filter(no_number),
    "--address": TEXT,
}


def test_what_is_bent_is_sound_before(folder: Path) -> None:
    assert call(*GOOD, "--results", str(folder / "sound"))[0] == 2, "nothing is stored, as nothing was trained"
    assert "nothing is stored" in call(*GOOD, "--results", str(folder / "sound"))[1]


@FUZZ
@given(st.data(), st.sampled_from(["local", "inline", *(["ray"] if find_spec("ray") else [])]))
def test_one_word_of_nonsense(data: st.DataObject, engine: str) -> None:
    # What Ray finds at an address is its engine's to say.
    option = data.draw(st.sampled_from(sorted(NONSENSE.keys() - ({"--address"} if engine == "ray" else set()))))
    value = data.draw(NONSENSE[option])
    words = [*GOOD, "--engine", engine, f"{option}={value}", "--results", "never"]
    shutil.rmtree("never", ignore_errors=True)
    status, said = call(*words)
    assert status == 2, words
    assert "nothing is stored" not in said, words
    assert not Path("never").exists(), words


# Files of options -----------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(sorted(field.name for field in dataclasses.fields(RunOptions))) | TEXT


@FUZZ
@given(content=st.dictionaries(KEYS, JSON | st.sampled_from(VALUES), max_size=4) | JSON)
@example(content={"set": {"protocol.lr": 1e-4}})
@example(content={"set": [["a"]]})
@example(content={"results": 3})
def test_any_file_of_options(content: Any, folder: Path) -> None:
    path = folder / "any.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    status, _ = call(*GOOD, "--config", str(path))
    assert status in (0, 1, 2)


@FUZZ
@given(content=st.binary(max_size=60))
@example(content=b"")
@example(content=b"table: [")
@example(content=b"\xff\xfe")
@example(content=b"&a [*a]")
def test_a_file_of_options_of_any_bytes(content: bytes, folder: Path) -> None:
    path = folder / "bytes.yaml"
    path.write_bytes(content)
    assert call("plan", "--config", str(path))[0] == 2


# --set ----------------------------------------------------------------------------------------------------------------

NUMBERS = st.integers().map(str) | st.floats().map(str) | st.sampled_from(["1e400", "-0", "0x10", "1_000", "true", "~"])


@FUZZ
@given(st.sampled_from(protocol_fields()), NUMBERS | TEXT)
@example("evaluate_every", "0")
@example("width", "1000000000")
@example("lr", "true")
@example("samples", "-1")
def test_fields_of_the_protocol(name: str, text: str) -> None:
    try:
        value = Settings.parse([f"protocol.{name}={text}"], []).protocol[name]
    except UserError:
        return
    check_type(value, get_type_hints(Protocol)[name])
    if isinstance(value, (int, float)):
        assert 0 <= value < 2**31
        assert value > 0 or name in ("fresh_iterations", "inverted", "beta1", "beta2")


@pytest.mark.parametrize("field", ["protocol.lr", "method.generator_rate"])
def test_a_field_that_is_given_twice(field: str) -> None:
    status, said = call(*GOOD, "--set", f"{field}=0.1", "--set", f"{field}=0.2")
    assert status == 2
    assert f"--set {field} is given twice" in said


METHOD_FIELDS = [(name, field) for name, method in house_methods().items() for field in method.defaults]


@FUZZ
@given(st.sampled_from(METHOD_FIELDS), NUMBERS | TEXT)
def test_fields_of_the_methods(field: tuple[str, str], text: str) -> None:
    method = registry.describe_method(field[0])
    try:
        value = Settings.parse([f"method.{field[1]}={text}"], [method]).for_method(method)[field[1]]
    except UserError:
        return
    check_type(value, get_type_hints(method.load().__init__)[field[1]])


def check_type(value: object, hint: Any) -> None:
    if get_origin(hint) is None:
        assert type(value) is hint
        assert not isinstance(value, float) or math.isfinite(value)
    else:
        assert any(value == choice or type(value) is choice for choice in get_args(hint))


# Records --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return Store(folder / "records of a user")


def levels(store: Store) -> set[str]:
    """What a doctor says of a results folder, in a word each."""
    return {finding.level for finding in check_results(store)}


@FEW
@given(data=st.data())
def test_a_record_with_other_bytes(data: st.DataObject, store: Store) -> None:
    record, samples = make_record(RUN)
    store.write(RUN, record, samples)
    path = store.path(RUN)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        found = store.read(RUN)
    except UserError:
        assert "wrong" in levels(store)
    else:
        assert found and dataclasses.replace(found, samples=None) == record


@FEW
@given(name=st.sampled_from(sorted(dataclasses.asdict(make_record(RUN)[0]))), value=JSON)
def test_a_record_with_other_values_and_the_right_checksum(name: str, value: Any, store: Store) -> None:
    record, samples = make_record(RUN)
    store.write(RUN, record, samples)
    written = store.read(RUN)
    assert written
    store._write_json(store.path(RUN), dataclasses.asdict(written) | {name: value})
    try:
        found = store.read(RUN)
    except UserError:
        return
    assert found
    of_table = ["--table", "veegan-1", "--methods", "gan", "--datasets", "ring8", "--seeds", "1"]
    assert call("show", *of_table, "--results", str(store.folder))[0] in (0, 2)
    assert levels(store)


@FEW
@given(value=JSON)
def test_a_file_among_records_that_is_none(value: Any, store: Store) -> None:
    path = store.folder / "records" / "ring8" / "gan" / f"{'0' * 16}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for content in (value, {"run": value}, {"run": RUN.identity() | {"dataset": value}}):
        path.write_text(json.dumps(content))
        assert "wrong" in levels(store)
        for words in (["verify", "--cell", "0" * 16], ["figure", "movie", "--cell", "0" * 16]):
            assert call(*words, "--results", str(store.folder))[0] == 2
    path.unlink()


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> bytes:
    kept: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callback, "CHECKPOINT_SECONDS", 0.0)
        protocol = Protocol(epochs=2, width=1, batch_size=32, fresh_iterations=5, samples=50)

        def look(progress: callback.Progress) -> None:
            kept.extend(path.read_bytes() for path in folder.glob("trained/unfinished/*.ckpt"))

        run(folder / "trained", [dataclasses.replace(RUN, protocol=protocol)], look)
    return kept[0]


@FEW
@given(data=st.data())
def test_a_checkpoint_with_other_bytes(data: st.DataObject, checkpoint: bytes, folder: Path) -> None:
    content = bytearray(checkpoint)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = folder / "bent.ckpt"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    with contextlib.suppress(UserError):
        assert isinstance(checkpoints.read_checkpoint(path), dict)


# Samples --------------------------------------------------------------------------------------------------------------

ARRAYS = arrays.arrays(
    arrays.scalar_dtypes() | st.just(np.dtype(object)) | arrays.unicode_string_dtypes(),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    elements=None,
)


def evaluate(path: Path) -> int:
    return call("evaluate", "--dataset", "ring8", "--samples", str(path), "--format", "json")[0]


def check_samples(path: Path) -> None:
    """Two finite numbers a sample, or a line."""
    try:
        found = read_samples(path, (2,))
    except UserError:
        assert evaluate(path) == 2
    else:
        assert found.shape[1:] == (2,) and len(found) and np.isfinite(found).all()
        assert evaluate(path) == 0


@FUZZ
@given(suffix=st.sampled_from(SUFFIXES), content=st.binary(max_size=200))
@example(
    suffix=".npy", content=b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (10**15, 2), }"
)
@example(suffix=".csv", content=b"1,2\n3")
@example(suffix=".csv", content=b'"1,2\n3,4')
@example(suffix=".csv", content=b"1,2\n\n")
def test_a_sample_file_of_any_bytes(suffix: str, content: bytes, folder: Path) -> None:
    path = folder / f"any{suffix}"
    path.write_bytes(content)
    check_samples(path)


@FUZZ
@given(data=st.data())
def test_a_sample_file_of_any_array(data: st.DataObject, folder: Path) -> None:
    dtype = data.draw(arrays.scalar_dtypes() | arrays.unicode_string_dtypes(max_len=3))
    shape = data.draw(st.just((3, 2)) | arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
    path = folder / "array.npy"
    np.save(path, data.draw(arrays.arrays(dtype, shape)))
    check_samples(path)


@FUZZ
@given(text=st.lists(st.lists(NUMBERS | TEXT, max_size=3).map(",".join), max_size=4).map("\n".join))
def test_a_sample_file_of_any_lines(text: str, folder: Path) -> None:
    path = folder / "lines.csv"
    path.write_text(text, encoding="utf-8")
    check_samples(path)
