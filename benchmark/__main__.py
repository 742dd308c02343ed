"""``python -m benchmark``: what belongs to the process. The commands are ``benchmark.cli``."""

from __future__ import annotations

import importlib.util
import signal
import sys
import threading
from pathlib import Path

#: Seconds after which an interrupt that was lost comes again: by then what swallowed it has ended.
_AGAIN = 0.1


def main() -> int:
    """Run the command that the process was started with."""
    be_this_package()
    sys.unraisablehook = raise_again
    let_nobody_shadow()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        # Nothing has begun while this loads.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from benchmark.cli import main as command

    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return command()


def be_this_package() -> None:
    """Make this package the one called ``benchmark``. Where the working directory has a folder of that name and this
    project is an editable install, Python takes the folder for the package and this file from the install."""
    here = Path(__file__).resolve().with_name("__init__.py")
    found = getattr(sys.modules.get("benchmark"), "__file__", None)
    if found is None or Path(found).resolve() != here:
        spec = importlib.util.spec_from_file_location("benchmark", here, submodule_search_locations=[str(here.parent)])
        assert spec and spec.loader
        sys.modules["benchmark"] = package = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(package)


def let_nobody_shadow() -> None:
    """Search the working directory last. ``python -m`` puts it first, so that packages in it would hide ours."""
    if sys.path and Path(sys.path[0] or ".").resolve() == Path.cwd() != Path(__file__).resolve().parents[1]:
        sys.path.append(sys.path.pop(0))


def raise_again(lost: sys.UnraisableHookArgs) -> None:
    """Ctrl-C in a finalizer is printed and forgotten by Python: give it again."""
    from benchmark.errors import Stopped

    if isinstance(lost.exc_value, (KeyboardInterrupt, Stopped)):
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        threading.Timer(_AGAIN, signal.pthread_kill, (main_thread, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


if __name__ == "__main__":
    sys.exit(main())
