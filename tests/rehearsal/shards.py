"""Report on a model of 40 GB in shards, which takes no such disk: its files are sparse, and one layer is repeated.

    python tests/rehearsal/shards.py [GIGABYTES [OUTPUTS INPUTS]]

Prints the seconds, the speed, and the peak memory next to its bound, the largest layer twice and 150 MB. The layer is
one of independent Gaussians as bfloat16; the sizes, the index and the headers are those of the whole model.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARD = 5e9  # bytes
CHILD = """
import json, resource, sys
from pathlib import Path
import numpy as np
import zimp
layer, index, read = sys.argv[1], sys.argv[2], np.fromfile
np.fromfile = lambda file, dtype, count: read(layer, dtype, count)  # whatever is read of a shard is the layer
report = zimp.report(index)
try:  # where the other figure counts the peak of the process that started this one
    peak = 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([len(report.rows), peak]))
"""


def write(folder: Path, size: float, shape: tuple[int, int]) -> Path:
    """The index, the headers, files as long as they say, and the layer; returns the index."""
    import numpy as np

    each = 2 * shape[0] * shape[1]
    with open(folder / "layer", "wb") as file:
        rng = np.random.default_rng(0)
        for _ in range(shape[0]):  # the upper halves of float32
            file.write(rng.normal(size=shape[1]).astype(np.float32).view(np.uint16)[1::2].tobytes())
    places, layers = {}, max(1, round(size / each))
    shard_layers = max(1, int(SHARD // each))
    for first in range(0, layers, shard_layers):
        names = [f"model.layers.{k}.mlp.down_proj.weight" for k in range(first, min(layers, first + shard_layers))]
        header = {
            name: {"dtype": "BF16", "shape": list(shape), "data_offsets": [k * each, (k + 1) * each]}
            for k, name in enumerate(names)
        }
        text, shard = json.dumps(header).encode(), f"model-{first:05d}.safetensors"
        with open(folder / shard, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + len(names) * each)
        places |= dict.fromkeys(names, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return folder / "model.safetensors.index.json"


def measure(size: float, shape: tuple[int, int]) -> dict:
    """How many layers were reported, the seconds, and the peak memory of the process in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        index = write(Path(folder), size, shape)
        start = time.perf_counter()
        command = [sys.executable, "-c", CHILD, f"{folder}/layer", str(index)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
        layers, peak = json.loads(done.stdout)
        bound = 2 * 2 * shape[0] * shape[1] + 150e6
        return {"layers": layers, "seconds": time.perf_counter() - start, "peak": peak, "bound": bound}


if __name__ == "__main__":
    numbers = [*map(float, sys.argv[1:]), *[40, 8192, 8192][len(sys.argv) - 1 :]]
    found = measure(numbers[0] * 1e9, (int(numbers[1]), int(numbers[2])))
    print(
        f"{found['layers']} layers, {numbers[0]:g} GB in {found['seconds']:.0f} s "
        f"({numbers[0] * 1e3 / found['seconds']:.0f} MB/s); peak {found['peak'] / 1e6:.0f} MB, "
        f"at most {found['bound'] / 1e6:.0f} MB"
    )
    sys.exit(found["peak"] > found["bound"])
