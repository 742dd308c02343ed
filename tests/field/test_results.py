"""Kind: results folders of other people, who may have damaged them or mean harm (``python -m tests.attack``)."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.errors import Damaged, UserError
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.run import Run
from benchmark.store.store import Store
from benchmark.training.evaluation import measure_own
from tests.attack import RECORDS, attack, sealed
from tests.benchmark.made import make_record, store_with

pytestmark = pytest.mark.slow

RUN = Run("ring8", "gan", Protocol(profile="test", epochs=3, width=1, samples=50), 0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_with(tmp_path / "results", RUN)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return attack(3 * (len(RECORDS) + 2), 3, tmp_path_factory.mktemp("attack"))[1]


def test_no_attack_ends_in_a_traceback_or_writes_outside(faults: list[str]) -> None:
    assert not [fault for fault in faults if "import" not in fault and "executed" not in fault]


def test_no_attack_is_imported(faults: list[str]) -> None:
    assert not [fault for fault in faults if "import" in fault or "executed" in fault]


#: What is changed in a sound record, with a right checksum.
CHANGES = {
    "seed below 0": {"run": {"seed": -1}},
    "seed beyond the command line's": {"run": {"seed": 10**400}},
    "nested override": {"run": {"overrides": {"x": {"y": 1}}}},
    "unknown networks": {"run": {"protocol": {"networks": "../x"}}},
    "protocol of text": {"run": {"protocol": {"epochs": "3"}}},
    "no width": {"run": {"protocol": {"width": 0}}},
    "frames that are no epochs": {"run": {"protocol": {"frames": "a,b"}}},
    "name with an escape sequence": {"run": {"method": "gan\x1b[31m"}},
    "ragged curve": {"curves": {"high_quality_fraction": [[1.0], [1.0, 2.0]]}},
    "nested curve": {"curves": {"high_quality_fraction": [[1.0], [1.0], [1.0]]}},
    "short curve": {"curves": {"high_quality_fraction": [1.0]}},
    "curve of text": {"curves": {"high_quality_fraction": ["x", "y", "z"]}},
    "curve beyond any float": {"curves": {"high_quality_fraction": [10**400, 1, 1]}},
    "measure of text": {"measures": {"high_quality_fraction": "1"}},
    "measure beyond any float": {"measures": {"high_quality_fraction": 10**400}},
    "unknown status": {"status": "perfect"},
    "cost of lists": {"cost": {"seconds": []}},
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_no_record_of_the_run_holds_is_damage(kind: str, store: Store) -> None:
    path = store.path(RUN)
    content = json.loads(path.read_text())
    del content["format"], content["checksum"]
    merge(content, CHANGES[kind])
    path.write_text(sealed(content))
    with pytest.raises(Damaged, match=r"is damaged .*; delete .*\.json and run again"):
        store.read(store.run_at(path) if "run" in CHANGES[kind] else RUN)


def merge(content: dict, change: dict) -> None:
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(content.get(name), dict) and value:
            merge(content[name], value)
        else:
            content[name] = value


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a": ' * 100_000, "1" + "0" * 5_000, "\ud800"])
def test_json_that_readers_choke_on_is_damage(text: str, store: Store) -> None:
    store.path(RUN).write_text(text, errors="surrogatepass")
    with pytest.raises(Damaged):
        store.read(RUN)


def test_a_pipe_where_a_record_belongs_does_not_hang(store: Store) -> None:
    store.path(RUN).unlink()
    os.mkfifo(store.path(RUN))
    with pytest.raises(Damaged, match="no ordinary file"):
        store.read(RUN)


def test_who_only_looks_is_told_once_and_goes_on(store: Store) -> None:
    said: list[str] = []
    other = dataclasses.replace(RUN, seed=1)
    store.write(other, *make_record(other))
    store.path(RUN).write_text("{}")
    looking = Store(store.folder, said.append)
    assert [looking.read(run) is None for run in (RUN, other, RUN)] == [True, False, True]
    assert len(said) == 1 and store.path(RUN).name in said[0]
    assert [run.seed for run in looking.cells()] == [1]


def test_doctor_names_left_overs_and_writes_no_escape_sequences(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, name in (("figures", "a\x1b[31m.png"), ("tables", "b.csv"), ("report", "index.html")):
        (store.folder / folder).mkdir()
        (store.folder / folder / f".{name}.abcd1234").write_text("half")
    (store.unfinished / ".0123.ckpt.abcd1234").write_text("half")
    (store.unfinished / "x.claim").symlink_to(store.folder / "nowhere")
    assert main(["doctor", "--results", str(store.folder)]) == 1
    out = capsys.readouterr().out
    assert "3 files left by writers that were killed" in out and "1 files left by processes" in out
    assert "x.claim is a symbolic link" in out
    assert "\x1b" not in out and "\\x1b" in out


def test_paths_that_are_no_folder_of_results_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["list", "stored", "--results", str(tmp_path / "file")]) == 2
    assert "is no folder of results" in capsys.readouterr().err
    assert main(["doctor", "--results=--"]) == 2
    assert "is no value" in capsys.readouterr().err
    for verb in (["list", "stored"], ["doctor"], ["show", "--table", "2"]):
        assert main([*verb, "--results", os.fsdecode(b"/nowhere/\xff")]) in (0, 1, 2)


# Measures of others -----------------------------------------------------------------------------------------------


def infinite(samples: object, target: object) -> float:
    return float("inf")


def greedy(samples: object, target: object) -> float:
    samples[:] = 0  # type: ignore[index]
    return 1.0


def quits(samples: object, target: object) -> float:
    raise SystemExit(3)


def test_measures_that_are_infinite_greedy_or_quit(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "evaluate",
        "--dataset",
        "ring8",
        "--samples",
        str(store.path(RUN).with_suffix(".npy")),
        "--format",
        "json",
    ]
    assert main([*words, "--measure", f"{__name__}:infinite", "--measure", f"{__name__}:greedy"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[f"{__name__}:infinite"] is None and found[f"{__name__}:greedy"] == 1
    samples = make_record(RUN)[1]
    before = samples.copy()
    measure_own(f"{__name__}:greedy", None, samples)  # type: ignore[arg-type]
    assert (samples == before).all()
    assert main([*words, "--measure", f"{__name__}:quits"]) == 2
    assert "SystemExit: 3" in capsys.readouterr().err


def test_a_measure_that_quits_is_no_stop() -> None:
    with pytest.raises(UserError, match="SystemExit"):
        measure_own(f"{__name__}:quits", registry.mixture("ring8"), make_record(RUN)[1])
