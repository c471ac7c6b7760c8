"""Zeroth-order topology of pruned networks: why iterative magnitude pruning keeps what it keeps.

Three floors, each of which uses only those below it:

``zimp``
    One layer: its bounds, its maximum spanning forest and H0, the masks that prune it, and the figures.
``zimp.lab``
    A network: train, prune, rewind; runs that can be stopped, and the book's sweeps.
``zimp.reports``
    A checkpoint: how far each layer of any network can be pruned, and the command line.

``MODULES`` lists the modules from the ground up: each imports only those before it. All public names are here too.
``import zimp`` is instant: a module is imported when one of its names is first used, so all that needs no network runs
where torch is not installed.
"""

from importlib import import_module

MODULES = {
    "checks": (),
    "bounds": (
        "critical_compression", "spatial_critical_compression", "spatial_sizes", "retention_bound",
        "connectivity_density",
    ),
    "spanning": (),
    "topology": (
        "SpanningForest", "spanning_forest", "persistence_diagram", "betti_curve", "count_components",
        "safe_density", "neural_persistence", "tree_overlap", "TreeOverlap",
    ),
    "oracle": ("cross_check", "ripser_diagram", "gudhi_diagram"),
    "blocks": (),
    "layers": ("prunable", "LayerGraph", "layer_graph", "stitched_graph", "tree_sizes"),
    "pruning": (
        "magnitude_mask", "random_mask", "topological_mask", "topological_scores", "prune", "apply_masks", "masks_of",
        "mask_facts", "TopologicalUnstructured",
    ),
    "plots": (),
    "widgets": ("explorer", "play"),
    "lab.data": ("Data", "Split", "load_data"),
    "lab.models": ("lenet_300_100", "small_mlp", "small_conv"),
    "lab.training": ("train", "hold", "accuracy", "adam", "TrainingDiverged"),
    "lab.together": ("train_together",),
    "lab.record": ("Record",),
    "lab.resume": ("run_levels", "KeptLevel"),
    "lab.imp": ("iterative_magnitude_pruning",),
    "lab.connectivity": ("barrier", "Barrier"),
    "lab.basins": (),
    "lab.swamp": ("swamp",),
    "lab.averages": (),
    "lab.shrimp": ("shrimp", "Shrimp"),
    "lab.additive": (),
    "lab.landscape": ("hessian_trace", "HessianTrace", "top_eigenvalue", "basin_radii", "loss_plane"),
    "lab.gauge": ("rescale",),
    "lab.flatness": (),
    "lab.experiments": (),
    "reports.architectures": (),
    "reports.formats": (),
    "reports.headers": (),
    "reports.pickles": (),
    "reports.onnx_files": (),
    "reports.keras_files": (),
    "reports.checkpoints": (),
    "reports.layouts": (),
    "reports.ranking": (),
    "reports.setting": (),
    "reports.table": ("report", "Report"),
    "reports.drawing": (),
    "reports.command": (),
}  # fmt: skip
_HOME = {name: module for module, names in MODULES.items() for name in names}
_PARTS = {module.partition(".")[0] for module in MODULES}  # what `zimp.` can be followed by, besides public names

__all__ = [*_HOME]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    if name in _PARTS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'zimp' has no attribute {name!r}")


def __dir__():
    return [*globals(), *_PARTS, *_HOME]
