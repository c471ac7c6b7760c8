"""How long a report takes, and how much memory: on a model of 2 GB in bfloat16, and on one of 2 MB.

Both are synthetic: independent Gaussians, the larger in the shapes of a language model. What others do on the machine
changes the seconds of a processor less than those of the clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import zimp
from zimp.reports import table

SHAPES = {
    "model.embed_tokens.weight": (131072, 4096),
    **{f"model.layers.{k}.self_attn.o_proj.weight": (4096, 4096) for k in range(8)},
    **{f"model.layers.{k}.mlp.down_proj.weight": (4096, 14336) for k in range(6)},
}
SMALL = {f"layers.{k}.weight": (512, 512) for k in range(2)}  # 2 MB in single precision
MEGABYTE = 1e6


def measure() -> dict:
    """Seconds to read all tensors once, seconds of the whole command, and its peak memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        path = _saved(folder / "model.safetensors", SHAPES, torch.bfloat16)
        largest = 2 * max(torch.Size(shape).numel() for shape in SHAPES.values())
        reading = min(_read(path) for _ in range(3))
        output = folder / "report.json"
        seconds, processor, memory = _report(path, "--json", output)
        found = json.loads(output.read_text(encoding="utf-8"))["reports"][0]
        importing, _, idle = _run([sys.executable, "-c", "import zimp.reports.command"])
        small = _saved(folder / "small.safetensors", SMALL, torch.float32)
        briefly = [_report(small) for _ in range(7)]
        single = _saved(folder / "single.safetensors", dict(list(SHAPES.items())[1:5]), torch.float32)
        return {
            "bytes": path.stat().st_size,
            "layers": len(found["rows"]),
            "largest_tensor_bytes": largest,
            "read_seconds": reading,
            "report_seconds": seconds,
            "report_processor_seconds": processor,
            "times_reading": seconds / reading,
            "peak_bytes": memory,
            "import_seconds": importing,
            "import_peak_bytes": idle,
            "small_bytes": small.stat().st_size,
            "small_seconds": min(seconds for seconds, _, _ in briefly),
            "small_processor_seconds": min(processor for _, processor, _ in briefly),
            "small_imports_torch": _imports_torch(small),
            "global_column": {"bfloat16": _global_column(path), "float32": _global_column(single)},
        }


def goals(measured):
    """Each goal: what, the figure, and the bound on it."""
    yield "report of 2 GB / reading its tensors", measured["times_reading"], "<=", 25
    memory = measured["peak_bytes"] / measured["largest_tensor_bytes"]
    yield "peak memory of the report / largest tensor", memory, "<=", 1.5
    yield "report of 2 MB, s", measured["small_seconds"], "<=", 0.6
    yield "report of 2 MB, imports of torch", measured["small_imports_torch"], "<=", 0
    speed = measured["bytes"] / MEGABYTE / measured["report_processor_seconds"]
    yield "report of bfloat16, MB a second of one core", speed, ">=", 150
    beyond = (measured["peak_bytes"] - 2 * measured["largest_tensor_bytes"]) / MEGABYTE
    yield "peak memory of the report beyond two largest tensors, MB", beyond, "<=", 150
    for kind, seconds in measured["global_column"].items():
        yield f"column of global pruning / the others, {kind}", seconds["with"] / seconds["without"] - 1, "<=", 1


def _saved(path: Path, shapes: dict, dtype) -> Path:
    generator = torch.Generator().manual_seed(0)
    save_file(
        {
            name: torch.empty(shape, dtype=dtype).normal_(std=0.02, generator=generator)
            for name, shape in shapes.items()
        },
        path,
    )
    return path


def _imports_torch(path) -> int:
    """Whether the command has imported torch once it has printed its report."""
    code = (
        "import sys; from zimp.reports.command import main\n"
        "try: main()\n"
        "except SystemExit: print('torch' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "report", str(path), "--quiet"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return int(ended.stderr.strip() == "True")


def _global_column(path) -> dict:
    """Seconds of a processor for a report, and for one that does not rank the weights of the network.

    The histogram of each layer stays: it also says what breaks when each layer is pruned alone.
    """

    def unranked(network, parts, *others):
        for _, row, _ in parts:
            row.update(global_density=0.0, globally=row["layerwise"])

    seconds = {"with": [], "without": []}
    for _ in range(3):
        seconds["with"].append(_processor(path))
        with mock.patch.object(table, "_rank_all", unranked):
            seconds["without"].append(_processor(path))
    return {name: min(values) for name, values in seconds.items()}


def _processor(path) -> float:
    start = time.process_time()
    zimp.report(path)
    return time.process_time() - start


def _read(path) -> float:
    """Copy every tensor into memory, from a file that the system has in its cache."""
    start = time.perf_counter()
    with safe_open(path, framework="pt") as file:
        for name in file.keys():
            file.get_tensor(name).clone()
    return time.perf_counter() - start


def _report(path, *options) -> tuple[float, float, int]:
    return _run([sys.executable, "-m", "zimp", "report", str(path), "--quiet", *map(str, options)])


def _run(command) -> tuple[float, float, int]:
    """Seconds, seconds of a processor, and peak memory in bytes."""
    # Through a small process: the peak of a process counts that of the one that it was forked from.
    launcher = (
        "import json, resource, subprocess, sys, time; start = time.perf_counter(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); seconds = time.perf_counter() - start; "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", launcher, *command], check=True, stdout=subprocess.PIPE, cwd=root)
    seconds, processor, memory = json.loads(out.stdout)
    return seconds, processor, memory * (1 if sys.platform == "darwin" else 1024)
