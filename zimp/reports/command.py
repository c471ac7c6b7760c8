"""The command line: ``python -m zimp report FILE...`` and ``python -m zimp sweep NAME...``.

What a command needs is imported when it runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import shutil
import sys
import warnings
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

INDEX = ".index.json"  # as in .checkpoints, which imports torch
OUTPUTS = ("json", "csv", "figure")
WAYS = ("layerwise", "globally")
SORTED = ("crit", "safe", "glob", "iid", "law", "rieck", "balw", "total", "/2z(3)")  # as in .table, which imports torch
FIGURES = (".png", ".svg", ".pdf")
OURS = {  # how the files begin that this command writes
    "--json": b'{\n "versions"', "--csv": b"source", "--figure": (b"\x89PNG", b"%PDF", b"<"),
}  # fmt: skip


def main():
    """Run a command, and exit with its status."""
    parser = argparse.ArgumentParser(prog="python -m zimp", description="Zeroth-order topology of pruned networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_report, _add_sweep):
        add(commands)
    sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal has no letters for is escaped
    arguments = parser.parse_args()
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        status = 1
    sys.exit(status)


def _silence():
    """Stop printing, because the reader, such as head, has closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _add_report(commands):
    command = commands.add_parser(
        "report",
        help="how far a network can be pruned before magnitude pruning breaks its topology",
        description="For each layer of a network: how far it can be pruned before magnitude pruning breaks its "
        "topology, and what theory says. Prune a layer no further than its column safe says; where that is near 1, "
        "look which neuron breaks off, or leave the layer alone. Exits with 0 if all that was asked for was done, and "
        "with 2 if it was not: an option is wrong, a file could not be read or written, or a layer was left out "
        "because of NaN or infinity. The rest is reported all the same.",
    )
    command.add_argument(
        "files", nargs="+", metavar="FILE",
        help="of weights: safetensors, PyTorch's, ONNX, Keras' (code in it is never run), the .index.json of a model's "
        "shards, or a folder with one of these",
    )  # fmt: skip
    command.add_argument(
        "--density", type=float, default=0.1, help="to which layers are pruned, to count what breaks; default: 0.1"
    )
    command.add_argument(
        "--groups", action="append", default=[], metavar="PATTERN=N",
        help="the groups of convolutions whose names fit, such as '*.dw.weight=32'; may be given several times",
    )  # fmt: skip
    command.add_argument("--brief", action="store_true", help="the verdict alone, in a few sentences")
    command.add_argument(
        "--sort", metavar="COLUMN", choices=SORTED, help=f"sort the layers, the largest first, by {', '.join(SORTED)}"
    )
    command.add_argument(
        "--legend", action="store_true", help="explain the columns after each table, not the first only"
    )
    command.add_argument("--width", type=int, help="of the lines; default: that of the terminal, else as long as names")
    command.add_argument("--jobs", type=int, default=1, help="layers to work on at a time; default: 1")
    for option, what in [
        ("--json", "write the reports there; - is the terminal, without tables"),
        ("--csv", "write the rows of the tables there; - as for --json"),
        ("--figure", "draw the densities of all layers, as PNG, SVG or PDF"),
    ]:
        command.add_argument(option, metavar="PATH", action=_Once, help=what)
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.set_defaults(run=_report, error=command.error)


class _Once(argparse.Action):
    """An output that may be given once: a second one would not be written."""

    def __call__(self, parser, namespace, value, option=None):
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option} is given twice; it is one file, for the reports of all files together")
        setattr(namespace, self.dest, value)


def _add_sweep(commands):
    command = commands.add_parser(
        "sweep", help="rerun the sweeps of the book",
        description="Rerun the sweeps of the book: every method and seed. Stopped anywhere, a sweep goes on when the "
        "command is given again. Training takes the same kernels on all x86 processors with AVX2, unless the settings "
        "that choose them are set otherwise.",
    )  # fmt: skip
    command.add_argument("sweeps", nargs="*", metavar="NAME", help="which; default: all of them")
    command.add_argument("--seeds", type=int, help="number of seeds, from 0 on; default: that of each sweep")
    command.add_argument("--jobs", type=int, default=1, help="processes to use at a time; default: 1")
    command.add_argument("--together", action="store_true", help="train the seeds of each method of levels at once")
    command.add_argument("--output", type=Path, default=Path("book/results"), help="folder; default: %(default)s")
    command.set_defaults(run=_sweep, error=command.error)


def _sweep(arguments) -> int:
    if arguments.seeds is not None and arguments.seeds < 1:
        arguments.error(f"--seeds {arguments.seeds} must be a number of seeds, at least 1")
    if arguments.jobs == 0:
        arguments.error("--jobs 0 is not a number of processes; 1 is one at a time, -1 one for each core")
    folder = arguments.output
    if folder.exists() and not folder.is_dir():
        arguments.error(f"--output {folder} is a file; it must be the folder for the files of the sweeps")
    from ..lab.record import FIXED, check_writable

    if "torch" not in sys.modules:  # which reads them once
        os.environ.update({**FIXED, **os.environ})
    from ..lab.experiments import STUDIES, SWEEPS, run

    known = SWEEPS | STUDIES
    for name in arguments.sweeps:
        if name not in known:
            arguments.error(f"no sweep {name!r}; there are {', '.join(known)}")
    sweeps = {name: known[name] for name in arguments.sweeps or known}
    try:  # before training, for results that cannot be written are lost
        folder.mkdir(parents=True, exist_ok=True)
        for name in sweeps:
            check_writable(folder / f"{name}.json")
    except OSError as error:
        arguments.error(f"--output {folder} cannot be written to: {error.filename}: {error.strerror}")
    for name, sweep in sweeps.items():
        if arguments.seeds is not None:
            sweep = replace(sweep, seeds=tuple(range(arguments.seeds)))
        print(f"{name}: {sweep}")
        unfinished = folder / f"{name}.part"  # from which it goes on when it was stopped
        results = run(sweep, jobs=arguments.jobs, together=arguments.together, folder=unfinished, progress=True)
        results.save(folder / f"{name}.json")
        shutil.rmtree(unfinished)
    return 0


def _check(arguments):
    """Refuse, before any work, outputs that would fail afterwards or destroy existing files."""
    if not 0 < arguments.density <= 1:
        arguments.error(f"--density {arguments.density} must be above 0 and at most 1")
    if arguments.width is not None and arguments.width < 60:
        arguments.error(f"--width {arguments.width} is too narrow for the table; it needs at least 60 characters")
    arguments.groups = dict(_group(arguments, text) for text in arguments.groups)
    if arguments.jobs < 1:
        arguments.error(f"--jobs {arguments.jobs} must be a number of threads, at least 1")
    for option in ("json", "csv"):
        path = getattr(arguments, option)
        if path and _is_output(path):  # such as /dev/stdout; opened a second time it would write over the tables
            setattr(arguments, option, "-")
    if arguments.json == arguments.csv == "-":
        arguments.error("--json - and --csv - would overwrite each other; give one of them a file")
    inputs = _inputs(arguments.files)
    for file in inputs:
        if _is_output(file) and os.path.isfile(file):
            arguments.error(f"the output goes into {file}, {inputs[file]}; send it to another file")
    outputs = {f"--{option}": getattr(arguments, option) for option in OUTPUTS}
    outputs = {option: path for option, path in outputs.items() if path not in (None, "-")}
    for (one, path), (other, same) in combinations(outputs.items(), 2):
        if _same(path, same) and not _same(path, os.devnull):
            arguments.error(f"{one} {path} and {other} {same} are one file; give one of them another")
    for option, path in outputs.items():
        _check_output(arguments, option, path, inputs)


def _group(arguments, text: str) -> tuple[str, int]:
    pattern, _, count = text.rpartition("=")
    if not pattern or not count.isdecimal():
        arguments.error(f"--groups {text} must be a pattern of names and a number, such as '*.dw.weight=32'")
    return pattern, int(count)


def _check_output(arguments, option: str, path: str, inputs: dict[str, str]):
    from ..lab.record import check_writable

    advice = f"the word after {option} is the output file, so write {option} OUTPUT FILE..."
    if not path:
        arguments.error(f"{option} needs the name of a file, but it is empty; is a variable of the shell not set?")
    if option == "--figure" and Path(path).suffix.lower() not in FIGURES:
        arguments.error(f"--figure {path} must end in one of {', '.join(FIGURES)}")
    for file, what in inputs.items():
        if _same(path, file):
            arguments.error(f"{option} {path} would overwrite {what}; {advice}")
    if not Path(path).absolute().parent.is_dir():
        arguments.error(f"{path}: there is no folder {Path(path).parent}")
    if option == "--figure" and _is_output(path):
        arguments.error(f"--figure {path} is where the tables go; give it another file")
    try:
        check_writable(path)
        foreign = os.path.isfile(path) and _is_foreign(path, option)
    except IsADirectoryError:
        arguments.error(f"{option} {path} is a folder; give the name of a file in it")
    except OSError as error:
        arguments.error(f"{option} {path} cannot be written: {error.strerror}")
    if foreign:
        arguments.error(f"{option} {path} would overwrite a file that zimp did not write, perhaps weights; {advice}")


def _inputs(files: list[str]) -> dict[str, str]:
    """The files to read, those that an index names among them, and what each is, in words."""
    inputs = {}
    for file in files:
        if file.endswith(INDEX):
            with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
                # what is wrong with an index is said when it is read
                shards = json.loads(Path(file).read_text(encoding="utf-8"))["weight_map"].values()
                inputs |= {str(Path(file).parent / str(shard)): f"a shard of {file}" for shard in shards}
    return inputs | dict.fromkeys(files, "one of the files to read")


def _same(path: str, other: str) -> bool:
    """Whether two paths lead to one file, maybe by links, or would once it is there."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        one, two = (os.path.normcase(os.path.realpath(name)) for name in (path, other))
        return one == two


def _is_output(path: str) -> bool:
    """Whether a path leads to where the standard output goes; to nowhere does not count."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(1)) and not _same(path, os.devnull)
    except OSError:
        return False


def _is_foreign(path: str, option: str) -> bool:
    """Whether a file holds what this command does not write to such a file."""
    with open(path, "rb") as file:
        start = file.read(20)
    return bool(start) and not start.startswith(OURS[option])


def _report(arguments) -> int:
    _check(arguments)
    from .table import report

    warnings.simplefilter("ignore")  # what torch warns about is read all the same, or has an error of its own
    to_terminal = "-" not in (arguments.json, arguments.csv)
    progress = sys.stderr.isatty() and not arguments.quiet
    width = arguments.width or (max(60, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None)
    reports, errors, said = [], {}, True
    for file in arguments.files:
        try:
            found = report(
                file, density=arguments.density, groups=arguments.groups, jobs=arguments.jobs, progress=progress
            )
        except (OSError, ValueError, ImportError) as error:
            errors[file] = str(error)
            _complain(str(error))
            continue
        reports.append(found)
        for left in found.left_out:
            if left["name"] in found.totals["not_finite"]:
                _complain(f"{file}: {left['name']} is left out: {left['reason']}; did the training diverge?")
        if to_terminal:
            legend = arguments.legend or len(reports) == 1
            text = found.brief(width) if arguments.brief else found.table(width, legend=legend, sort=arguments.sort)
            said = _say(text + "\n\n", arguments) and said
    written = [
        said,
        _write(arguments, "json", lambda: _as_json(reports, errors)),
        _write(arguments, "csv", lambda: _as_csv(reports)),
        not reports or _write(arguments, "figure", lambda: _draw(arguments.figure, reports)),
    ]
    whole = not errors and not any(found.totals["not_finite"] for found in reports)
    return 0 if whole and all(written) else 2


def _complain(text: str):
    """Print an error in one line, whatever a file holds."""
    from .setting import printable

    print(f"error: {printable(text)}", file=sys.stderr)


def _say(text: str, arguments) -> bool:
    """Print. If nobody reads the output any more, or the disk is full, the command ends once its files are written."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        if all(getattr(arguments, option) in (None, "-") for option in OUTPUTS):
            raise
        _silence()
    except OSError as error:
        _complain(f"the output cannot be written: {error.strerror or error}")
        _silence()
        return False
    return True


def _write(arguments, option: str, make) -> bool:
    """Write what an option asks for, and return whether that went well: an output that fails takes no other along."""
    path = getattr(arguments, option)
    if path is None:
        return True
    if path == "-":
        return _say(make(), arguments)
    from ..lab.record import write_whole

    try:
        write_whole(path, make())
    except OSError as error:
        _complain(f"--{option} {path} cannot be written: {error.strerror or error}")
        return False
    return True


def _as_json(reports: list, errors: dict[str, str]) -> str:
    from ..lab.record import versions

    content = {"versions": versions(), "reports": [asdict(found) for found in reports], "errors": errors}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _as_csv(reports: list) -> str:
    """One line for each layer, and for each that is not finite its name and the reason; lists as words."""
    text, rows = io.StringIO(), []
    for found in reports:
        rows += [{"source": found.source, **_flat(row), "left_out": ""} for row in found.rows]
        broken = found.totals["not_finite"]
        rows += [
            {"source": found.source, "name": left["name"], "shape": _words(left["shape"]), "left_out": left["reason"]}
            for left in found.left_out
            if left["name"] in broken
        ]
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["source"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace").decode()  # names of files need not be UTF-8


def _words(shape) -> str:
    return "x".join(map(str, shape))


def _flat(row: dict) -> dict:
    ways = {f"{way}_{key}": (row[way] or {}).get(key) for way in WAYS for key in ("components", "cut_off")}
    words = {"shape": _words(row["shape"]), "tensors": " ".join(row["tensors"])}
    kept = {key: value for key, value in row.items() if key not in (*WAYS, "notes")}
    return kept | words | ways | {"notes": "; ".join(row["notes"])}


def _draw(path: str, reports: list) -> bytes:
    import matplotlib

    matplotlib.use("agg")  # needs no display
    from .drawing import draw

    drawn = io.BytesIO()
    fig = draw(reports)
    fig.savefig(drawn, format=Path(path).suffix[1:].lower(), dpi=fig.dpi)
    return drawn.getvalue()
