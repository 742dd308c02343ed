"""The command line as a user types it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from benchmark.cli import main
from benchmark.cli import options as shared
from benchmark.cli.commands.figure import FigureCommandOptions
from benchmark.cli.commands.list import SECTIONS
from benchmark.cli.commands.plan import PlanOptions
from benchmark.cli.commands.run import RunOptions
from benchmark.cli.commands.verify import sample
from benchmark.cli.main import COMMANDS
from benchmark.cli.parse import default_of, flags, make_parser, parse
from benchmark.cli.select import parse_seeds
from benchmark.errors import UserError
from benchmark.papers.discovery import all_tables, find_table
from benchmark.render.formats import FORMATS
from benchmark.spec import registry
from benchmark.spec.protocol import Protocol
from benchmark.spec.selection import select
from benchmark.spec.table import Table
from benchmark.store.store import Store
from benchmark.training import LOGGERS
from benchmark.training.engines import ENGINES
from datamodules.images import DATA_VARIABLE, MissingData
from evaluators.features import EXTRACTORS
from evaluators.names import WEIGHTS_VARIABLE
from modules.families import find_family
from tests.benchmark.command import call, refused
from tests.benchmark.made import fill_store


@pytest.fixture
def short(tmp_path: Path) -> Path:
    table = find_table("2")
    assert isinstance(table, Table)
    fill_store(Store(tmp_path), select(table, profile="short"))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "say what to do"),
        ("runn --table 2", "unknown command 'runn'; did you mean 'run'?"),
        ("run", "run what? for example --table 2 or --figure gaan-fig5"),
        (
            "show --table 9",
            "unknown table '9'; there are: 1, 2, 3, 4, aeis-1, ",
        ),
        ("show --table gaan2", "did you mean 'gaan-2'?"),
        ("run --tabel 2", "unknown option for run: --tabel; did you mean --table?"),
        ("run --table 2 --profile shrot", "unknown profile 'shrot'; did you mean 'short'?"),
        ("run --table 2 --reading corected", "did you mean 'corrected'?"),
        ("run --table 2 --methods gan,gaan2", "did you mean 'gaan_2'?"),
        ("run --table 2 --methods gan,gan", "named twice"),
        ("run --table 2 --seeds x", "write a count (8), a range (0-3) or a list (1,5)"),
        ("run --table 2 --seeds 0", "write a count"),
        ("run --table 2 --seeds 3-1", "write a count"),
        ("run --table 2 --seeds 1,1", "names a seed twice"),
        ("run --table 2 --set method.lamda_p=1", "did you mean 'method.lambda_p'?"),
        ("run --table 2 --methods gan --set method.lambda_p=1", "unknown field for the chosen methods"),
        ("run --table 2 --set method.lambda_p=high", "'high' is no float"),
        ("run --table 2 --set method.penalty=l3", "did you mean 'l2'?"),
        ("run --table 2 --set protocol.epochs=0", "must be greater than 0"),
        ("run --table 2 --set protocol.profile=x", "unknown field"),
        ("run --table 2 --set protocol.networks=gaan-2", "did you mean 'gaan-1'?"),
        ("run --table 2 --set lambda_p", "--set method.FIELD=VALUE"),
        ("run --table 2 --set lambda_p=1", "--set method.FIELD=VALUE"),
        ("run --table aeis-1 --methods aeis --set method.loss=1", "there are: method.bandwidth, method.code_dim"),
        ("run --table 2 --method nowhere:MyGAN", "cannot load --method nowhere:MyGAN: ModuleNotFoundError"),
        ("run --table 2 --method modules.gan:Gan", "unknown name in modules.gan 'Gan'; did you mean 'GAN'?"),
        ("run --table 2 --method mygan", "; one of yours is package.module:NAME"),
        ("run --figure gaan-fig10 --datasets celeba", "figure gaan-fig10 is of cifar10, not of celeba"),
        ("run --table gaan-2-ablation --method no-penalty,weights-1", "are chosen by --methods no-penalty,weights-1"),
        ("run --table 2 --methods GAAN_2x", "did you mean 'gaan_2'?"),
        ("run --table 2 --method modules.losses:per_seed", "is no method"),
        ("run --table 2 --threads 0", "no count of at least 1"),
        ("run --table 2 --figure gaan-fig5", "--table or --figure, not both"),
        ("run --table 1 --methods gan", "trains nothing"),
        ("run --figure gaan-fig55", "did you mean 'gaan-fig5'?"),
        ("figure gaan-fig5 --profile smoke --results nowhere", "python -m benchmark run --figure gaan-fig5"),
        ("show --table 2 --results nowhere", "first: python -m benchmark run --table gaan-2 --results nowhere"),
        ("show --table 2 --format yaml", "unknown value for --format 'yaml'; did you mean 'html'?"),
        ("evaluate --dataset grid-25-gaan --samples x.npy", "did you mean 'grid25-gaan'?"),
        ("evaluate --dataset grid25-gaan", "--samples"),
        ("throughput --table 1", "throughput --table gaan-2"),
        ("throughput --table 2 --methods vae-gan --set protocol.prior=uniform", "vae-gan needs a normal prior"),
        ("--bogus", "say what to do, not --bogus"),
        ("run --table 2 --seeds 100000000000000", "seeds end at 999999"),
        ("run --table 2 --methods ,", "--methods is empty"),
        ("run --table 2 --set method.lambda_p=.nan", "'.nan' is no float"),
        ("run --table 2 --set method.lambda_p=.inf", "'.inf' is no float"),
        ("run --table 2 --set method.discriminator_updates=0", "must be at least 1"),
        ("run --table 2 --set protocol.mode_min_points=-3", "must be greater than 0"),
        ("run --table", "--table: it wants a value; see python -m benchmark run --help"),
        ("run --table 2 more", "unknown option for run: more; see python -m benchmark run --help"),
        ("run --table 2 --redo-stale=3", "--redo-stale: ignored explicit argument '3'"),
        ("run --table 2 --precision half", "unknown value for --precision 'half'; there are: 32-true, bf16-mixed"),
        ("run --table 2 --results=--", "-- is no value; write ./-- for a file of that name"),
        ("run --table 2 --results a\udcffb", "a\\udcffb is no text"),
        ("run --table 2 --methods gan,nowhere.py:MyGAN", "there is no file nowhere.py, for nowhere.py:MyGAN"),
        ("run --table nowhere:TABLE", "cannot load --table nowhere:TABLE: ModuleNotFoundError"),
        ("run --table benchmark.spec.run:Run", "is no table: it must be a benchmark.spec.table.Table"),
        ("run --config nowhere.yaml", "nowhere.yaml'"),
        ("plan --table 2 --workers 1,0", "--workers: 1,0: write counts from 1 on"),
        ("plan --table 2 --overhead 1", "--overhead is what a worker loses with a block"),
        ("verify", "verify what? for example --table 2"),
        ("verify --table 2 --cell 0123", "give --cell or --table, not both"),
        ("verify --cell 0123 --epochs 2", "--cell trains a model to its end; leave --epochs out"),
        ("verify --table claims", "verify means nothing to claims"),
        ("verify --table 1", "table gaan-1 stores nothing to verify"),
        ("verify --table 2 --sample 2 --results nowhere", "there is nothing to verify"),
        ("reproduce 0123", "the command reproduce is now python -m benchmark verify --cell ID"),
        ("show --table claims --curves", "--curves means nothing to claims"),
        ("figure", "figure what? for example figure gaan-fig5"),
        ("check", "check which method?"),
        ("data", "which image set?"),
        ("data mnits", "did you mean 'mnist'?"),
        ("evaluate --samples x.npy", "evaluate for which data set?"),
        ("--print_completion fish-and-chips", "--print_completion"),
        ("run --table 2 --method :Foo", "cannot load --method :Foo"),
        ("run --table 2 --method ..a:Foo", "cannot load --method ..a:Foo"),
    ],
)
def test_bad_input_is_one_line_with_the_way_out(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert line in refused(capsys, *words.split())


def test_a_results_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    line = refused(capsys, "run", "--table", "2", "--profile", "smoke", "--results", str(tmp_path / "file"))
    assert "cannot write" in line and "--results" in line


def test_a_damaged_record_is_named_and_kept(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next(short.rglob("*.json"))
    path.write_text(path.read_text()[:50])
    words = ["--table", "2", "--profile", "short", "--results", str(short)]
    for verb in ("plan", "run"):
        assert path.name in refused(capsys, verb, *words)
    status, out, err = call(capsys, "show", *words)
    assert status == 0 and out and f"left out: {path} is damaged" in err
    assert path.exists()


@pytest.mark.slow
def test_a_closed_pipe_is_no_interrupt() -> None:
    command = "import sys; from benchmark.cli import main; sys.exit(main(['list', 'all']))"
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "list", "all")
    assert status == 0
    names = "gaan-1 gaan-2 gaan-fig5 gaan-fig6 gaan-fig7 gan dan-2s vae-gan ali wgan-gp gaan_1 gaan_2 grid25-gaan "
    names += "registered_modes cv tv_true paper short smoke corrected printed released"
    for name in names.split():
        assert f"  {name} " in out or f"  {name}\n" in out, name


def test_list_counts_what_is_stored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = ("--results", str(tmp_path))
    table = find_table("gaan-2")
    assert isinstance(table, Table)
    fill_store(Store(tmp_path), select(table, profile="short", methods=["gan"], seeds=[0, 1, 7]))
    (tmp_path / "figures").mkdir()
    for name in ("gaan-fig1-short-corrected-abcdef", "gaan-fig10-paper-corrected", "gan-ae-mnist-short-corrected"):
        (tmp_path / "figures" / f"{name}.png").touch()
    found = dict(line.split(maxsplit=1) for line in call(capsys, "list", "stored", *where)[1].splitlines())
    assert found["gaan-2"] == "short corrected 2 of 21"
    assert found["veegan-1"] == found["gaan-fig2"] == found["theory-noise"] == "nothing"
    assert found["gaan-fig1"] == "short-corrected-abcdef"
    assert found["gaan-fig10"] == "paper-corrected"
    assert found["gan-ae-mnist"] == "short-corrected"


def test_list_names_one_section(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {}
    for name in SECTIONS:
        status, parts[name], _ = call(capsys, "list", name)
        assert status == 0
        assert len(parts[name].splitlines()) > 2
    assert "".join(parts.values()) == call(capsys, "list", "all")[1]
    k4 = next(line for line in parts["networks"].splitlines() if line.startswith("  metz-k4 "))
    assert "generator channels " + "-".join(map(str, find_family("metz-k4").generator_channels)) in k4
    assert "metz-k4" in parts["networks"] and "metz-k4" not in parts["methods"]
    assert "did you mean 'networks'?" in refused(capsys, "list", "netwroks")


def test_list_alone_fits_a_screen_and_says_how_to_see_more(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "list")
    assert status == 0
    lines = out.splitlines()
    assert len(lines) < 24 and max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines[: len(SECTIONS)]] == list(SECTIONS)
    assert lines[0].split()[:3] == ["tables", str(len(all_tables())), "aeis-1,"]
    assert "python -m benchmark list SECTION" in lines[-1]


def test_a_file_is_no_results_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "is no folder of results" in refused(capsys, "list", "stored", "--results", str(tmp_path / "file"))


def test_every_method_in_the_house_stands_in_a_table() -> None:
    tables = [table for table in all_tables().values() if isinstance(table, Table)]
    assert {row.method for table in tables for row in table.rows} == set(registry.methods())


def test_show_and_figure_draw_on_stored_records(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--profile", "short", "--results", str(short))
    for words in ("--table 2", "--table gaan-2", "--figure gaan-fig7"):
        status, out, _ = call(capsys, "show", *words.split(), *options, "--format", "csv")
        assert status == 0
        assert out.startswith("table,row,column")
    status, out, _ = call(capsys, "figure", "gaan-fig7", *options)
    assert status == 0
    assert Path(out.strip()).suffix == ".png" and Path(out.strip()).is_file()
    status, out, _ = call(capsys, "figure", "gaan-fig7", *options, "--format", "svg")
    assert status == 0 and Path(out.strip()).read_bytes().startswith(b"<?xml")


def test_a_finished_table_is_shown_and_written_without_training(
    short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--table", "2", "--profile", "short", "--methods", "gan", "--results", str(short))
    status, out, err = call(capsys, "run", *options)
    assert status == 0
    assert "everything was done already" in err
    assert "GAN" in out and "ALI" not in out
    written = (short / "tables" / "gaan-2-short-corrected.md").read_text()
    assert "ALI" in written, "the file is the whole table"


def test_plan_counts_runs(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(short.glob("records/grid25-gaan/gan/*.json")).unlink()
    status, out, _ = call(capsys, "plan", "--table", "2", "--profile", "short", "--results", str(short))
    assert status == 0
    assert "2 done, 1 to do" in out
    assert "1 run to do in 1 block" in out


def test_table_1_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "run", "--table", "1", "--results", str(tmp_path), "--format", "csv")
    assert status == 0
    assert out.count("equivalent") == 12
    assert (tmp_path / "tables" / "gaan-1.csv").read_text() == out


def test_evaluate_prints_what_the_exact_sampler_gets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = registry.dataset("grid25-gaan").sample(4_000, np.random.default_rng(0))
    np.save(tmp_path / "mine.npy", points)
    words = ("evaluate", "--dataset", "grid25-gaan", "--samples", str(tmp_path / "mine.npy"), "--format", "json")
    status, out, _ = call(capsys, *words)
    found = json.loads(out)
    assert status == 0
    assert list(found) == [
        "registered_modes",
        "registered_points",
        "max_deficit",
        "cv",
        "tv_true",
        "tv_differential",
        "max_relative_deviation",
        "n",
    ]
    centres = np.array(registry.dataset("grid25-gaan").centres)
    distance = np.linalg.norm(points[:, None] - centres, axis=2).min(1)
    assert found["registered_points"] == (distance <= 0.1 * 2**0.5).sum()
    assert (found["registered_modes"], found["n"]) == (25, 4_000)


def test_evaluate_with_nothing_registered_has_no_ratios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "far.npy", np.full((2_000, 2), 9.0))
    words = ("evaluate", "--dataset", "grid25-gaan", "--samples", str(tmp_path / "far.npy"), "--format", "json")
    found = json.loads(call(capsys, *words)[1])
    assert (found["registered_points"], found["max_deficit"], found["cv"]) == (0, 1.0, None)


def test_the_threshold_scales_with_the_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n, expected in ((1_000, 1), (3_000, 0)):
        points = np.full((n, 2), 9.0)
        points[:20] = 2.0
        np.save(tmp_path / "a.npy", points)
        words = ("evaluate", "--dataset", "grid25-gaan", "--samples", str(tmp_path / "a.npy"), "--format", "json")
        assert json.loads(call(capsys, *words)[1])["registered_modes"] == expected


@pytest.mark.slow
def test_a_users_own_class_trains_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "my_module.py").write_text(
        "from modules.gan import GAN\n\n\n"
        "class MyGAN(GAN):\n"
        "    def __init__(self, training, data_shape, seeds, *, bad: bool = False):\n"
        "        super().__init__(training, data_shape, seeds)\n"
        "        self.bad = bad\n\n"
        "    def generator_loss(self, x, z):\n"
        "        if self.bad and self.iteration:\n"
        "            raise RuntimeError('my own mistake')\n"
        "        return super().generator_loss(x, z)\n"
    )
    monkeypatch.chdir(tmp_path)
    options = ["--table", "2", "--profile", "smoke", "--methods", "gan", "--method", "my_package.my_module:MyGAN"]
    options += ["--results", "mine", "--seeds", "2", "--set", "protocol.batch_size=2000", "--format", "csv"]
    try:
        status, out, _ = call(capsys, "run", *options)
        assert status == 0
        rows = {line.split(",")[1]: line for line in out.splitlines() if ",registered_points," in line}
        own = rows["my_package.my_module:MyGAN"].split(",")
        assert own[9] == rows["gan"].split(",")[9], "the same losses from the same streams give the same numbers"
        status, out, err = call(capsys, "run", *options, "--set", "method.bad=true")
        assert status == 1
        assert "my own mistake" in err
        assert ",0,0,2," in out
    finally:
        sys.path.remove(str(tmp_path))


def test_evaluate_prints_a_table_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "far.npy", np.full((2_000, 2), 9.0))
    status, out, _ = call(capsys, "evaluate", "--dataset", "grid25-gaan", "--samples", str(tmp_path / "far.npy"))
    assert status == 0
    first, *table = out.splitlines()
    assert first == "2,000 samples for grid25-gaan"
    rows = {line.split()[0]: line.split()[1:] for line in table}
    assert rows["measure"] == ["value", "of", "data", "collapsed", "(12", "modes)"]
    assert rows["registered_modes"] == ["0", "25", "25", "12"]
    value, of, real, collapsed = rows["registered_points"]
    assert (value, of) == ("0", "2,000")
    assert 1_900 < int(real) < 2_000 and 1_900 < int(collapsed) < 2_000
    assert rows["cv"][:2] == ["no", "value"]
    assert len({len(line) for line in table if line.split()[-1].isdigit()}) == 1, "numbers stand below one another"


@pytest.mark.parametrize(
    ("text", "seeds"), [("8", range(8)), ("0-3", range(4)), ("1,5", [1, 5]), ("0-1,7", [0, 1, 7]), ("5-5", [5])]
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == tuple(seeds)


@pytest.mark.parametrize("text", ["", "-1", "1-", "a-b", "1,,2", "1.5", "0"])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(UserError):
        parse_seeds(text)


def test_what_was_downloaded_and_is_damaged_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"cut short")
    there: list[bool] = []

    def download(base: str) -> None:
        there.append((tmp_path / "MNIST").exists())
        raise MissingData("no network")

    monkeypatch.setattr("datamodules.images.download", download)
    assert main(["data", "mnist"]) == 2
    said = capsys.readouterr().err
    assert there == [False], "torchvision fetches nothing that is there"
    assert "moved aside" in said and "no network" in said
    kept = tmp_path / "MNIST.damaged-1" / "raw" / "train-images-idx3-ubyte"
    assert kept.read_bytes() == b"cut short", "nothing is lost"


# Options ------------------------------------------------------------------------------------------------------------


def test_words_beat_a_file_and_fields_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "table: 2\nmethods: [gan, ali]\nseeds: 8\nset: {protocol.lr: 1.0e-4, method.x: true}\n"
        "redo_stale: true\nthreads: 3\nmeasure: a:b\n"
    )
    found = parse(RunOptions, ["--set", "protocol.lr=3", "--threads", "5", "--config", str(path)])
    assert isinstance(found, RunOptions)
    assert (found.table, found.methods, found.seeds, found.redo_stale) == ("2", "gan,ali", "8", True)
    assert (found.threads, found.set, found.measure) == (5, ["method.x=true", "protocol.lr=3"], ["a:b"])
    found = parse(RunOptions, [f"--config={path}", "--measure", "c:d", "--measure", "e:f"])
    assert isinstance(found, RunOptions) and found.measure == ["c:d", "e:f"]


def test_a_word_without_a_name_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("figure: gaan-fig5\n")
    for words, figure in (([], "gaan-fig5"), (["movie"], "movie")):
        found = parse(FigureCommandOptions, [*words, "--config", str(tmp_path / "f.yaml")])
        assert isinstance(found, FigureCommandOptions) and found.figure == figure


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_what_print_config_writes_gives_the_same_options(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {
        "run": "--table 2 --profile smoke --methods gan --seeds 2 --set method.lambda_p=1 --set protocol.lr=1e-4",
        "plan": "--table 2 --workers 1,8 --overhead 0.5",
        "figure": "gaan-fig5 --seeds 1,5",
        "check": "gan",
        "data": "mnist",
        "list": "tables",
    }.get(command, "").split()
    assert main([command, *words, "--print_config"]) == 0
    path = tmp_path / "options.yaml"
    path.write_text(capsys.readouterr().out)
    made, _, _ = COMMANDS[command].load(command)
    assert parse(made, ["--config", str(path)]) == parse(made, words)


def test_a_run_from_a_file_does_the_same(short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--table", "2", "--profile", "short", "--methods", "gan", "--results", str(short), "--format", "csv"]
    assert main(["run", *words, "--print_config"]) == 0
    path = tmp_path / "run.yaml"
    path.write_text(capsys.readouterr().out)
    shown = call(capsys, "run", *words)[:2]
    assert shown[0] == 0 and call(capsys, "run", "--config", str(path))[:2] == shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tabel: 2", "unknown key for run in --config 'tabel'; did you mean 'table'?"),
        ("threads: x", "--threads: x is no count of at least 1"),
        ("- 1", "--config: the file is no YAML of options"),
        ("a: [", "--config: the file is no YAML of options"),
        ("", "--config: the file is no YAML of options, as table: 2: it is empty"),
        ("accelerator: tpu", "unknown value for --accelerator 'tpu'; did you mean 'gpu'?"),
        ("redo_stale: maybe", "--redo-stale: maybe is neither true nor false"),
        ("table: [1]", "--table: [1] is no word"),
        ("method: {a: 1}", "is no word"),
        ("!!python/object/apply:os.system ['ls']", "could not determine a constructor"),
        ("seeds: true", "--seeds: True is no word"),
    ],
)
def test_a_bad_file_of_options_is_one_line(
    text: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text(text)
    assert line in refused(capsys, "run", "--config", str(tmp_path / "run.yaml"))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_and_option_says_what_it_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    made, _, _ = COMMANDS[command].load(command)
    assert all(flag in said for flag in flags(made))
    assert all(field.metadata["help"] for field in dataclasses.fields(made))
    assert made.verb == command
    assert (made.__doc__ or "").split(".")[0].split("?")[0] in said.replace("\n", " ")


def test_help_begins_with_what_a_newcomer_does_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "show --table 2" in "\n".join(lines[:8])
    assert len(lines) < 45 and max(map(len, lines)) <= 120
    assert set(COMMANDS) <= {line.split()[0] for line in lines if line.startswith("  ")}
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "modecov 0.1.0\n"


def test_what_help_writes_out_is_what_there_is() -> None:
    assert get_args(shared.Format) == FORMATS
    assert set(get_args(shared.Engine)) == set(ENGINES)
    assert set(get_args(shared.Features)) == {*EXTRACTORS, "none"}
    fields = get_type_hints(Protocol)
    assert fields["features"] == shared.Features and fields["precision"] == shared.Precision
    named = {field.name: field.metadata["help"] for field in dataclasses.fields(RunOptions)}
    assert DATA_VARIABLE in named["data"] and WEIGHTS_VARIABLE in named["fid_weights"]
    assert all(name in named["logger"] for name in LOGGERS)
    assert default_of(next(f for f in dataclasses.fields(PlanOptions) if f.name == "results")) == "results"
    assert make_parser(RunOptions).prog == "python -m benchmark run"


@pytest.mark.parametrize("words", ["--help", "--version", "run --help", "shwo", "run --tabel 2", "run --threads x", ""])
def test_help_and_slips_load_nothing_heavy(words: str) -> None:
    code = (
        "import sys, time, benchmark.__main__ as m\n"
        f"sys.argv = ['benchmark', *{words.split()!r}]\n"
        "m.main()\n"
        "heavy = {'torch', 'pytorch_lightning', 'torchvision', 'torchmetrics', 'pandas', 'scipy', 'numpy'}\n"
        "found = heavy & set(sys.modules)\n"
        "sys.exit(9 if found or time.process_time() > 0.5 else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended


def test_a_sample_of_models_is_the_same_every_time_and_grows(short: Path) -> None:
    table = find_table("2")
    assert isinstance(table, Table)
    chosen, store = select(table, profile="short"), Store(short)
    runs = [run for row in chosen.rows for run in chosen.runs(row)]
    two = sample(runs, store, 2)
    assert len(set(two)) == 2 and sample(runs[::-1], store, 2) == two
    assert sample(runs, store, 3)[:2] == two
    store.path(two[0]).unlink()
    assert two[0] not in sample(runs, store, len(runs))


def test_a_table_of_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import dataclasses\nfrom benchmark.papers.discovery import find_table\n"
        "TABLE = dataclasses.replace(find_table('2'), id='mine-2', number=None)\n"
        "TAKEN = dataclasses.replace(TABLE, id='gaan-2')\n"
    )
    options = ("--profile", "smoke", "--methods", "gan", "--accelerator", "cpu")
    status, out, _ = call(capsys, "plan", "--table", f"{mine}:TABLE", *options, "--results", str(tmp_path / "r"))
    assert status == 0 and "2 to do" in out
    assert "has the id gaan-2" in refused(capsys, "plan", "--table", f"{mine}:TAKEN", *options)
