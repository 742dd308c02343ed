"""The process: Ctrl-C while it loads, and where Python would lose it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.__main__ import raise_again


@pytest.mark.parametrize("seconds", [0.3, 1.5])
def test_an_interrupt_while_it_loads_leaves_no_traceback(seconds: float) -> None:
    command = [sys.executable, "-m", "benchmark", "plan", "--table", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in said


class _Swallows:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        # Where the signal is seen.
        time.sleep(0.01)


def test_an_interrupt_that_a_finalizer_swallows_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", raise_again)
    thing = _Swallows()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        del thing
        time.sleep(60)


def test_other_errors_of_finalizers_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaks:
        def __del__(self) -> None:
            raise ValueError("broken")

    monkeypatch.setattr(sys, "unraisablehook", raise_again)
    thing = Breaks()
    del thing
    assert "ValueError: broken" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_full_disk_under_standard_output_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "benchmark", "list", "engines"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr == "benchmark: cannot write what is to be shown: No space left on device\n"


@pytest.mark.parametrize(
    "words", ["--help", "list tables", "list methods", "show --table 2", "show --table 99", "shwo"]
)
def test_looking_loads_no_pytorch(words: str) -> None:
    code = (
        "import sys; from benchmark.cli import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'pytorch_lightning', 'torchvision', 'torchmetrics', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'loaded {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
