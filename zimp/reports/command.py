"""The command line: ``python -m zimp report FILE...`` and ``python -m zimp sweep NAME...``.

What a command needs is imported when it runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path


def main():
    """Run a command, and exit with its status."""
    parser = argparse.ArgumentParser(prog="python -m zimp", description="Zeroth-order topology of pruned networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_report, _add_sweep):
        add(commands)
    arguments = parser.parse_args()
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _add_report(commands):
    command = commands.add_parser(
        "report",
        help="how far a network can be pruned before magnitude pruning breaks its topology",
        description="For each layer of a network: how far it can be pruned before magnitude pruning breaks its "
        "topology, and what theory says. Exits with 2 if a file could not be read.",
    )
    command.add_argument(
        "files", nargs="+", metavar="FILE",
        help="of weights: .safetensors, PyTorch's (code in it is never run), or the .index.json of a model's shards",
    )  # fmt: skip
    command.add_argument("--density", type=float, default=0.1, help="of the square-root law; default: 0.1")
    command.add_argument("--jobs", type=int, default=1, help="layers to work on at a time; default: 1")
    command.add_argument("--json", metavar="PATH", help="write the reports there; - is the terminal, without tables")
    command.add_argument("--csv", metavar="PATH", help="write the rows of the tables there; - as for --json")
    command.add_argument("--figure", metavar="PATH", help="draw the densities of all layers, as PNG, SVG or PDF")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.set_defaults(run=_report, error=command.error)


def _add_sweep(commands):
    command = commands.add_parser(
        "sweep", help="rerun the sweeps of the book", description="Rerun the sweeps of the book: every method and seed."
    )
    command.add_argument("sweeps", nargs="*", metavar="NAME", help="which; default: all of them")
    command.add_argument("--seeds", type=int, help="number of seeds, from 0 on; default: that of each sweep")
    command.add_argument("--jobs", type=int, default=1, help="processes to use at a time; default: 1")
    command.add_argument("--together", action="store_true", help="train the seeds of each method of levels at once")
    command.add_argument("--output", type=Path, default=Path("book/results"), help="folder; default: %(default)s")
    command.set_defaults(run=_sweep, error=command.error)


def _sweep(arguments) -> int:
    from ..lab.experiments import SWEEPS, run

    if arguments.seeds is not None and arguments.seeds < 1:
        arguments.error(f"--seeds {arguments.seeds} is not a number of seeds, at least 1")
    for name in arguments.sweeps:
        if name not in SWEEPS:
            arguments.error(f"no sweep {name!r}; there are {', '.join(SWEEPS)}")
    for name in arguments.sweeps or SWEEPS:
        sweep = SWEEPS[name]
        if arguments.seeds is not None:
            sweep = replace(sweep, seeds=tuple(range(arguments.seeds)))
        print(f"{name}: {len(sweep.methods)} methods, {len(sweep.seeds)} seeds, {sweep.levels} levels")
        try:
            results = run(sweep, jobs=arguments.jobs, together=arguments.together, progress=True)
        except BaseException as error:
            if any(error.results.values.values()):
                error.results.save(arguments.output / f"{name}.stopped.json")
            raise
        results.save(arguments.output / f"{name}.json")
    return 0


def _check(arguments):
    """Refuse before the work what would fail after it."""
    if not 0 < arguments.density <= 1:
        arguments.error(f"--density {arguments.density} is not above 0 and at most 1")
    if arguments.jobs < 1:
        arguments.error(f"--jobs {arguments.jobs} is not a number of threads, at least 1")
    if arguments.json == arguments.csv == "-":
        arguments.error("--json - and --csv - would write over each other; give one of them a file")
    for path in filter(None, (arguments.json, arguments.csv, arguments.figure)):
        if path != "-" and not Path(path).absolute().parent.is_dir():
            arguments.error(f"{path}: there is no folder {Path(path).parent}")
    if arguments.figure and Path(arguments.figure).suffix.lower() not in (".png", ".svg", ".pdf"):
        arguments.error(f"--figure {arguments.figure} ends in none of .png, .svg, .pdf")


def _report(arguments) -> int:
    _check(arguments)
    from .table import report

    warnings.simplefilter("ignore")  # what torch warns about is read all the same, or has an error of its own
    to_terminal = "-" not in (arguments.json, arguments.csv)
    progress = sys.stderr.isatty() and not arguments.quiet
    reports, errors = [], {}
    for file in arguments.files:
        try:
            found = report(file, density=arguments.density, jobs=arguments.jobs, progress=progress)
        except (OSError, ValueError) as error:
            errors[file] = str(error)
            print(f"error: {error}", file=sys.stderr)
            continue
        reports.append(found)
        if to_terminal:
            print(found.table(), end="\n\n")
    if arguments.json:
        _write(arguments.json, _as_json(reports, errors))
    if arguments.csv:
        _write(arguments.csv, _as_csv(reports))
    if arguments.figure and reports:
        _draw(arguments.figure, reports)
    return 2 if errors else 0


def _write(path: str, text: str):
    if path == "-":
        sys.stdout.write(text)
    else:
        from ..lab.record import write_whole

        write_whole(path, text)


def _as_json(reports: list, errors: dict[str, str]) -> str:
    from ..lab.record import versions

    content = {"versions": versions(), "reports": [asdict(found) for found in reports], "errors": errors}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _as_csv(reports: list) -> str:
    """One line for each layer; lists, such as the shape, as words."""
    text = io.StringIO()
    rows = [{"source": found.source, **row} for found in reports for row in found.rows]
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["source"], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        row["shape"], row["tensors"] = "x".join(map(str, row["shape"])), " ".join(row["tensors"])
        writer.writerow({**row, "notes": "; ".join(row["notes"])})
    return text.getvalue()


def _draw(path: str, reports: list):
    import matplotlib
    import numpy as np

    matplotlib.use("agg")  # needs no display
    from ..plots import figure, limits
    from .table import full_name

    tallest = max(len(found.rows) for found in reports)
    fig, axes = figure(len(reports), 7.0 * len(reports), 1.5 + 0.17 * min(tallest, 200))
    for ax, found in zip(np.atleast_1d(axes), reports):
        rows = found.rows
        columns = ([row[key] for row in rows] for key in ("safe_density", "iid_density"))
        limits([full_name(row) for row in rows], *columns, [row["tree"] / row["weights"] for row in rows], ax=ax)
        ax.set_title(found.source, fontsize=9, pad=24)
    fig.savefig(path)
