"""How long a report on a model of 2 GB takes, next to reading its tensors, and how much memory.

The model is synthetic: independent Gaussians in the shapes of a language model, bfloat16.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

SHAPES = {
    "model.embed_tokens.weight": (131072, 4096),
    **{f"model.layers.{k}.self_attn.o_proj.weight": (4096, 4096) for k in range(8)},
    **{f"model.layers.{k}.mlp.down_proj.weight": (4096, 14336) for k in range(6)},
}


def measure() -> dict:
    """Seconds to read all tensors once, seconds of the whole command, and its peak memory in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        generator = torch.Generator().manual_seed(0)
        tensors = {
            name: torch.empty(shape, dtype=torch.bfloat16).normal_(std=0.02, generator=generator)
            for name, shape in SHAPES.items()
        }
        largest = max(tensor.nbytes for tensor in tensors.values())
        save_file(tensors, path)
        del tensors
        reading = min(_read(path) for _ in range(3))
        output = Path(folder) / "report.json"
        seconds, memory = _run([sys.executable, "-m", "zimp", "report", str(path), "--quiet", "--json", str(output)])
        found = json.loads(output.read_text(encoding="utf-8"))["reports"][0]
        importing, idle = _run([sys.executable, "-c", "import zimp.reports.command"])
        return {
            "bytes": path.stat().st_size,
            "layers": len(found["rows"]),
            "largest_tensor_bytes": largest,
            "read_seconds": reading,
            "report_seconds": seconds,
            "times_reading": seconds / reading,
            "peak_bytes": memory,
            "import_seconds": importing,
            "import_peak_bytes": idle,
        }


def goals(measured):
    """Each goal: what, the figure, and the bound on it."""
    yield "report of 2 GB / reading its tensors", measured["times_reading"], "<=", 25
    memory = measured["peak_bytes"] / measured["largest_tensor_bytes"]
    yield "peak memory of the report / largest tensor", memory, "<=", 1.5


def _read(path) -> float:
    """Copy every tensor into memory, from a file that the system has in its cache."""
    start = time.perf_counter()
    with safe_open(path, framework="pt") as file:
        for name in file.keys():
            file.get_tensor(name).clone()
    return time.perf_counter() - start


def _run(command) -> tuple[float, int]:
    # Through a small process: the peak of a process counts that of the one that it was forked from.
    launcher = (
        "import json, resource, subprocess, sys, time; start = time.perf_counter(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); seconds = time.perf_counter() - start; "
        "print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", launcher, *command], check=True, stdout=subprocess.PIPE, cwd=root)
    seconds, memory = json.loads(out.stdout)
    return seconds, memory * (1 if sys.platform == "darwin" else 1024)
