from collections import Counter

import pytest
import torch
from reference import import_torchvision

import zimp
from zimp.reports.architectures import ARCHITECTURES

# The published number of parameters, and those of them that are no weights of dense layers or convolutions.
PARAMETERS = {
    "LeNet-300-100": (266_610, 300 + 100 + 10),
    "LeNet-5": (61_706, 6 + 16 + 120 + 84 + 10),
    "VGG-11": (132_863_336, 64 + 128 + 2 * 256 + 4 * 512 + 2 * 4096 + 1000),
    "VGG-16": (138_357_544, 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512 + 2 * 4096 + 1000),
    "ResNet-18": (11_689_512, 2 * 4800 + 1000),  # two for each channel that is normalised, and the output
    "ResNet-50": (25_557_032, 2 * 26_560 + 1000),
    # the class token, 197 positions, biases and two norms a block, the patches, the last norm, the output
    "ViT-B/16": (86_567_656, 768 * (1 + 197 + 12 * (3 + 1 + 4 + 1 + 4) + 1 + 2) + 1000),
    # 1024 positions, biases and two norms a block, the last norm
    "GPT-2 small": (124_439_808, 768 * (1024 + 12 * (3 + 1 + 4 + 1 + 4) + 2)),
    # the embedding, which is not tied; two norms a block and the last
    "Llama-like 8B": (8_030_261_248, 4096 * (128_256 + 2 * 32 + 1)),
}


def weights(name):
    return sum(size for size, _ in zimp.tree_sizes(ARCHITECTURES[name].on_meta()).values())


@pytest.mark.parametrize("name", PARAMETERS)
def test_an_architecture_has_its_published_number_of_weights(name):
    published, others = PARAMETERS[name]
    assert weights(name) == published - others


@pytest.mark.parametrize(
    ("name", "count"),
    [("ResNet-18", 11_678_912), ("ResNet-50", 25_502_912), ("VGG-16", 138_344_128), ("ViT-B/16", 86_292_480)],
)
def test_the_numbers_that_the_book_tells(name, count):
    assert weights(name) == count


@pytest.mark.parametrize(
    ("name", "published", "count"),
    [("Conv-2", 38_000, 38_592), ("Conv-4", 260_000, 259_776), ("Conv-6", 1.1e6, 1_144_512)],
)
def test_the_convolutions_of_frankle_and_carbin_have_their_number_of_weights(name, published, count):
    sizes = [weight.numel() for weight in zimp.prunable(ARCHITECTURES[name].on_meta()).values() if weight.ndim == 4]
    assert len(sizes) == int(name[-1])
    assert sum(sizes) == count == pytest.approx(published, rel=0.05)


def test_every_architecture_says_where_it_is_from():
    for name, architecture in ARCHITECTURES.items():
        assert architecture.source, name
        assert all(weight.is_meta for weight in zimp.prunable(architecture.on_meta()).values())


IMAGES = [name for name, architecture in ARCHITECTURES.items() if architecture.input_size]


@pytest.mark.parametrize("view", ["matrix", "channel", "spatial"])
@pytest.mark.parametrize("name", IMAGES)
def test_every_network_of_images_runs_and_has_trees_in_all_views(name, view):
    architecture = ARCHITECTURES[name]
    model = architecture.on_meta()
    sizes = zimp.tree_sizes(model, view=view, input_size=architecture.input_size)
    assert list(sizes) == list(zimp.prunable(model))
    assert all(0 < tree <= edges for edges, tree in sizes.values())


@pytest.mark.parametrize("view", ["matrix", "channel", "spatial"])
@pytest.mark.parametrize("name", ["VGG-11", "VGG-16", "ResNet-18", "ResNet-50"])
def test_an_architecture_has_the_layers_of_torchvisions(name, view):
    builder = getattr(import_torchvision().models, name.lower().replace("-", ""))
    with torch.device("meta"):
        theirs = builder()
    ours, input_size = ARCHITECTURES[name].on_meta(), ARCHITECTURES[name].input_size
    layers = [Counter(zimp.tree_sizes(model, view=view, input_size=input_size).values()) for model in (ours, theirs)]
    assert layers[0] == layers[1]


@pytest.mark.parametrize("view", ["matrix", "channel"])
def test_a_vision_transformer_has_the_layers_of_torchvisions(view):
    with torch.device("meta"):
        theirs = import_torchvision().models.vit_b_16()
    ours = Counter(zimp.tree_sizes(ARCHITECTURES["ViT-B/16"].on_meta(), view=view).values())
    fused, alone = (3 * 768 * 768, 3 * (2 * 768 - 1)), (768 * 768, 2 * 768 - 1)  # query, key and value
    theirs = Counter(zimp.tree_sizes(theirs, view=view).values())
    assert ours == theirs - Counter({fused: 12}) + Counter({alone: 36})
