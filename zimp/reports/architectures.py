"""Known architectures as shapes: networks on the ``meta`` device, which hold no numbers and need no download.

Only what the bounds look at is there: dense layers, convolutions, and the pooling that changes the size of the image.
Transformers are their dense layers alone; embeddings are left out, unless they are tied to the output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from ..lab.models import lenet_300_100
from ..layers import prunable_weights

__all__ = ["ARCHITECTURES", "Architecture"]


class Architecture(NamedTuple):
    """How to build a network, the shape of its input (None for a transformer), and where its shapes are from."""

    build: Callable[[], nn.Module]
    input_size: tuple[int, ...] | None
    source: str

    def on_meta(self) -> nn.Module:
        """The network without numbers.

        Examples
        --------
        >>> import zimp
        >>> from zimp.reports.architectures import ARCHITECTURES
        >>> sizes = zimp.tree_sizes(ARCHITECTURES["VGG-16"].on_meta())
        >>> sum(weights for weights, _ in sizes.values())
        138344128
        """
        with torch.device("meta"):
            return self.build()

    def shapes(self) -> dict[str, tuple[tuple[int, ...], int]]:
        """The shape of each prunable weight, by name, and how many graphs it is.

        Examples
        --------
        >>> from zimp.reports.architectures import ARCHITECTURES
        >>> ARCHITECTURES["LeNet-300-100"].shapes()["output.weight"]
        ((10, 100), 1)
        """
        weights = prunable_weights(self.on_meta())
        return {name: (tuple(weight.parameter.shape), weight.groups) for name, weight in weights.items()}


def _lenet_5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.AvgPool2d(2), nn.Conv2d(16, 120, 5),
        nn.Flatten(), nn.Linear(120, 84), nn.Linear(84, 10),
    )  # fmt: skip


def _features(widths, channels=3):
    """3x3 convolutions of the given widths; "M" halves the image."""
    layers = []
    for width in widths:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            channels = width
    return layers


def _conv(widths, flat):
    return nn.Sequential(
        *_features(widths), nn.Flatten(), nn.Linear(flat, 256), nn.Linear(256, 256), nn.Linear(256, 10)
    )


def _vgg(widths):
    head = [nn.Linear(512 * 7 * 7, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]
    return nn.Sequential(*_features(widths), nn.Flatten(), *head)


class _Residual(nn.Module):
    """A block and its shortcut, which is a 1x1 convolution where the shapes differ."""

    def __init__(self, block, channels, out, stride):
        super().__init__()
        self.block = block
        same = channels == out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, out, 1, stride=stride, bias=False)

    def forward(self, x):
        return self.block(x) + self.shortcut(x)


def _resnet(depths, bottleneck):
    layers = [nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.MaxPool2d(3, stride=2, padding=1)]
    channels = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        out = 4 * width if bottleneck else width
        for position in range(depth):
            stride = 2 if stage > 0 and position == 0 else 1
            if bottleneck:
                block = nn.Sequential(
                    nn.Conv2d(channels, width, 1, bias=False),
                    nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
                    nn.Conv2d(width, out, 1, bias=False),
                )
            else:
                block = nn.Sequential(
                    nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
                    nn.Conv2d(width, width, 3, padding=1, bias=False),
                )
            layers.append(_Residual(block, channels, out, stride))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


# Of ViT-B and of GPT-2 small: query, key, value and output of attention; the two layers of the MLP.
BLOCK = [*4 * [(768, 768)], (3072, 768), (768, 3072)]


def _vit_b_16():
    return nn.Sequential(nn.Conv2d(3, 768, 16, stride=16), *_dense(12 * BLOCK), nn.Linear(768, 1000))


def _gpt_2():
    return nn.Sequential(*_dense(12 * BLOCK), nn.Linear(768, 50257))  # the last is tied to the embedding


def _llama_8b():
    attention = [(4096, 4096), (1024, 4096), (1024, 4096), (4096, 4096)]  # query, grouped key and value, output
    mlp = [(14336, 4096), (14336, 4096), (4096, 14336)]
    return nn.Sequential(*_dense(32 * (attention + mlp)), nn.Linear(4096, 128256))


def _dense(shapes):
    return [nn.Linear(inputs, outputs) for outputs, inputs in shapes]


ARCHITECTURES = {
    "LeNet-300-100": Architecture(lenet_300_100, (1, 28, 28), "LeCun et al. 1998; Frankle & Carbin 2019"),
    "LeNet-5": Architecture(_lenet_5, (1, 32, 32), "LeCun et al. 1998, with C3 fully connected"),
    "Conv-2": Architecture(lambda: _conv([64, 64, "M"], 64 * 16**2), (3, 32, 32), "Frankle & Carbin 2019"),
    "Conv-4": Architecture(
        lambda: _conv([64, 64, "M", 128, 128, "M"], 128 * 8**2), (3, 32, 32), "Frankle & Carbin 2019"
    ),
    "Conv-6": Architecture(
        lambda: _conv([64, 64, "M", 128, 128, "M", 256, 256, "M"], 256 * 4**2), (3, 32, 32), "Frankle & Carbin 2019"
    ),
    "VGG-11": Architecture(
        lambda: _vgg([64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]),
        (3, 224, 224), "Simonyan & Zisserman 2015, configuration A",
    ),
    "VGG-16": Architecture(
        lambda: _vgg([64, 64, "M", 128, 128, "M", *3 * [256], "M", *3 * [512], "M", *3 * [512], "M"]),
        (3, 224, 224), "Simonyan & Zisserman 2015, configuration D",
    ),
    "ResNet-18": Architecture(lambda: _resnet([2, 2, 2, 2], False), (3, 224, 224), "He et al. 2016"),
    "ResNet-50": Architecture(
        lambda: _resnet([3, 4, 6, 3], True), (3, 224, 224), "He et al. 2016, stride in the 3x3 convolutions"
    ),
    "ViT-B/16": Architecture(_vit_b_16, None, "Dosovitskiy et al. 2021"),
    "GPT-2 small": Architecture(_gpt_2, None, "Radford et al. 2019"),
    "Llama-like 8B": Architecture(_llama_8b, None, "the shapes of Llama 3 8B, Grattafiori et al. 2024"),
}  # fmt: skip
