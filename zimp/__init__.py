"""Zeroth-order topology of pruned networks: why iterative magnitude pruning keeps what it keeps.

The modules, each named for its concept, import only those above them:

``bounds``, ``weights``, ``spanning``, ``topology``, ``oracle``
    How far a layer can be pruned; the door for weights and masks; the maximum spanning forest, found fast; H0, read off
    it; the cross-check by ripser and GUDHI.
``layers``, ``pruning``
    From a torch network to graphs; masks.
``models``, ``architectures``, ``data``
    Small networks, the shapes of known ones, data sets.
``training``, ``replicates``, ``runs``, ``imp``
    Training of masked networks, one by one or many at once; the folder of a run; train, prune, rewind.
``experiments``
    The book's sweeps: methods, seeds, levels.
``plots``, ``widgets``
    Figures, and explorers that live without a kernel.
``checkpoints``, ``layouts``, ``reports``
    Any network, from memory or a file; the layers that its tensors hold; how far each can be pruned.

``import zimp`` is instant: a module is imported when one of its names is first used, so the first five run where
torch is not installed.
"""

from importlib import import_module

_HOMES = {
    "topology": (
        "SpanningForest", "spanning_forest", "persistence_diagram", "betti_curve", "count_components",
        "safe_density", "neural_persistence",
    ),
    "bounds": (
        "critical_compression", "spatial_critical_compression", "spatial_sizes", "retention_bound",
        "connectivity_density",
    ),
    "weights": (),
    "spanning": (),
    "oracle": ("cross_check", "ripser_diagram", "gudhi_diagram"),
    "layers": ("prunable", "LayerGraph", "layer_graph", "stitched_graph", "tree_sizes"),
    "pruning": (
        "magnitude_mask", "random_mask", "topological_mask", "topological_scores", "prune", "TopologicalUnstructured",
    ),
    "models": ("lenet_300_100", "small_conv"),
    "architectures": (),
    "data": ("Data", "Split", "load_data"),
    "training": ("train", "accuracy", "adam", "TrainingDiverged"),
    "replicates": ("train_together",),
    "runs": (),
    "imp": ("iterative_magnitude_pruning", "Record"),
    "experiments": (),
    "plots": (),
    "widgets": ("explorer",),
    "checkpoints": (),
    "layouts": (),
    "reports": ("report", "Report"),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME]


def __getattr__(name):
    if name in _HOMES:
        return import_module(f".{name}", __name__)
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module 'zimp' has no attribute {name!r}")


def __dir__():
    return [*globals(), *_HOMES, *_HOME]
