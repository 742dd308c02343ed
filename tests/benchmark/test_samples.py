"""Anybody's samples: every kind of file, and every kind of nonsense."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.errors import UserError
from benchmark.store.samples import read_samples

POINTS = np.arange(12, dtype=np.float64).reshape(6, 2) / 4


def test_every_kind_of_file_gives_the_same_samples(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", POINTS)
    np.savez(tmp_path / "b.npz", POINTS)
    np.savez(tmp_path / "c.npz", samples=POINTS, other=np.zeros(3))
    torch.save(torch.from_numpy(POINTS).float(), tmp_path / "d.pt")
    torch.save({"samples": torch.from_numpy(POINTS), "step": 3}, tmp_path / "e.pt")
    np.savetxt(tmp_path / "f.csv", POINTS, delimiter=",")
    np.savetxt(tmp_path / "g.csv", POINTS, delimiter=",", header="x,y", comments="")
    np.save(tmp_path / "h.npy", POINTS.astype(np.float16))
    for path in sorted(tmp_path.iterdir()):
        np.testing.assert_array_equal(read_samples(path, (2,)), POINTS, err_msg=path.name)


def test_a_byte_order_mark_does_not_eat_a_sample(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2\n3,4\n", encoding="utf-8-sig")
    assert read_samples(tmp_path / "a.csv", (2,)).tolist() == [[1, 2], [3, 4]]


def test_a_dictionary_without_names_is_named(tmp_path: Path) -> None:
    torch.save({1: torch.zeros(2, 2), 2: torch.zeros(2, 2)}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="holds 1, 2"):
        read_samples(tmp_path / "a.pt", (2,))


def test_whole_numbers_are_samples(tmp_path: Path) -> None:
    torch.save(torch.arange(6).reshape(3, 2), tmp_path / "a.pt")
    assert read_samples(tmp_path / "a.pt", (2,)).tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.zeros((4, 3)), r"shape \[4, 3\]; samples must be \[n, 2\]"),
        (np.zeros(4), r"shape \[4\]"),
        (np.zeros((1, 4, 2)), "shape"),
        (np.zeros((0, 2)), "no samples"),
        (np.array([[0, np.nan], [1, 1], [np.inf, 0]]), "NaN or infinity in 2 of 3"),
        (np.zeros((4, 2), dtype=complex), "complex"),
        (np.array([["a", "b"]]), "real numbers"),
        (np.zeros((4, 2), dtype=bool), "bool"),
    ],
)
def test_arrays_that_are_no_samples(values: np.ndarray, complaint: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UserError, match=complaint):
        read_samples(tmp_path / "a.npy", (2,))


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt"])
def test_nothing_in_a_file_is_executed(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match=r"cannot read .*: it must hold .*, and no objects"):
        read_samples(tmp_path / name, (2,))


def test_object_arrays_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="cannot read"):
        read_samples(tmp_path / "a.npy", (2,))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt", "a.csv"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array", b"\xff\xfe\x00"])
def test_damaged_files(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError):
        read_samples(tmp_path / name, (2,))


def test_several_arrays_must_be_told_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=POINTS, y=POINTS)
    with pytest.raises(UserError, match="call the array of samples 'samples'"):
        read_samples(tmp_path / "a.npz", (2,))


def test_missing_files_and_unknown_kinds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        read_samples(tmp_path / "none.npy", (2,))
    with pytest.raises(UserError, match=r"'\.npyy'; did you mean '\.npy'"):
        read_samples(tmp_path / "a.npyy", (2,))
