"""Measure everything side by side, in one run on one machine, and write one file that says so.

    pip install -e ".[test,bench]"
    python tests/benchmarks/run.py

takes some minutes on two cores, which should have nothing else to do. Needs Node and Chromium too, and the built book.
Benchmarks are no tests and decide none.
"""

import argparse
import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

import checkpoint
import forest
import play
import play_browser
import runs
import start

from zimp.lab.record import machine

RESULTS = Path(__file__).parent.parent.parent / "book" / "results" / "benchmarks.json"
PARTS = {
    "forest": forest, "runs": runs, "checkpoint": checkpoint, "start": start, "play": play,
    "play_browser": play_browser,
}  # fmt: skip
LIBRARIES = ("zimp", "numpy", "scipy", "torch", "ripser", "gudhi", "giotto-ph", "igraph", "networkx", "safetensors")


def made():
    return {
        "by": "python tests/benchmarks/run.py",
        "date": date.today().isoformat(),
        "processor": machine()["processor"],
        "cores": os.cpu_count(),
        "system": platform.system(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }


def added(stored, results):
    """The stored results with the parts that were measured now in the place of older ones."""
    renewed = {goal["goal"] for goal in results["goals"]}
    goals = [goal for goal in stored["goals"] if goal["goal"] not in renewed] + results["goals"]
    parts = {name: results[name] for name in PARTS if name in results}
    made = stored.get("added", {}) | {name: results["made"] for name in parts}
    return stored | parts | {"goals": goals, "added": made}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which; default: all of {', '.join(PARTS)}")
    parser.add_argument("--output", type=Path, help="file to write; default, if all are measured: that of the book")
    parser.add_argument("--add", action="store_true", help="renew the parts in the book's file, and say when it was")
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part not in PARTS:
            parser.error(f"no part {part!r}; there are {', '.join(PARTS)}")

    results = {"made": made(), "goals": []}
    for name in arguments.parts or PARTS:
        print(f"measuring: {name}", flush=True)
        results[name] = PARTS[name].measure()
        for goal, figure, relation, bound in PARTS[name].goals(results[name]):
            met = bool(figure <= bound if relation == "<=" else figure >= bound)
            results["goals"].append({"goal": goal, "figure": figure, "bound": f"{relation} {bound:g}", "met": met})
            print(f"  {goal:52}{figure:10.3g}  {relation} {bound:<6g}{'' if met else 'missed'}", flush=True)
    if arguments.add:
        results = added(json.loads(RESULTS.read_text(encoding="utf-8")), results)
    output = arguments.output or (RESULTS if arguments.add or not arguments.parts else None)
    if output:
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
