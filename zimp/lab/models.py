"""The networks of the book, small enough to prune in seconds."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
from torch import nn

from ..checks import at_least_one

__all__ = ["lenet_300_100", "small_mlp", "small_conv"]

# Of single precision also where the caller has set another default, so that they fit the images.
dense, convolution = partial(nn.Linear, dtype=torch.float32), partial(nn.Conv2d, dtype=torch.float32)


def lenet_300_100(in_features=784, classes=10) -> nn.Sequential:
    """LeNet-300-100: two hidden layers of 300 and 100 ReLU units, the network of Frankle & Carbin (2019).

    Weights are drawn from the Gaussian Glorot distribution, as theirs, by torch's global generator; biases are 0.

    Parameters
    ----------
    in_features : int
        784 for MNIST, 64 for scikit-learn's digits. Images of any shape are flattened.
    classes : int

    Returns
    -------
    torch.nn.Sequential
        With dense layers ``fc1``, ``fc2`` and ``output``.

    Raises
    ------
    ValueError
        For sizes that are not positive whole numbers.

    Examples
    --------
    >>> import zimp
    >>> sum(weight.numel() for weight in zimp.prunable(zimp.lenet_300_100()).values())
    266200
    """
    in_features, classes = at_least_one("in_features", in_features), at_least_one("classes", classes)
    return _glorot(
        nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=dense(in_features, 300),
                relu1=nn.ReLU(),
                fc2=dense(300, 100),
                relu2=nn.ReLU(),
                output=dense(100, classes),
            )
        )
    )


def small_mlp(in_features=64, hidden=32, classes=10) -> nn.Sequential:
    """One hidden layer of ReLU units: a network that trains in seconds anywhere, in a browser too.

    Parameters
    ----------
    in_features, hidden, classes : int

    Returns
    -------
    torch.nn.Sequential
        With dense layers ``fc1`` and ``output``, initialised as :func:`lenet_300_100`.

    Raises
    ------
    ValueError
        For sizes that are not positive whole numbers.

    Examples
    --------
    >>> import zimp
    >>> zimp.tree_sizes(zimp.small_mlp())
    {'fc1.weight': (2048, 95), 'output.weight': (320, 41)}
    """
    in_features, hidden = at_least_one("in_features", in_features), at_least_one("hidden", hidden)
    classes = at_least_one("classes", classes)
    return _glorot(
        nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=dense(in_features, hidden),
                relu1=nn.ReLU(),
                output=dense(hidden, classes),
            )
        )
    )


def small_conv(channels=1, size=8, classes=10) -> nn.Sequential:
    """Two 3x3 convolutions of 16 and 32 channels, each halved by pooling, and a dense output layer.

    Parameters
    ----------
    channels, size : int
        Channels and side of the square input images; 1 and 8 for scikit-learn's digits.
    classes : int

    Returns
    -------
    torch.nn.Sequential
        With layers ``conv1``, ``conv2`` and ``output``, initialised as :func:`lenet_300_100`.

    Raises
    ------
    ValueError
        For sizes that are not positive whole numbers, and for images that are smaller than 4 x 4.

    Examples
    --------
    >>> import torch, zimp
    >>> zimp.small_conv()(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """
    channels, classes = at_least_one("channels", channels), at_least_one("classes", classes)
    size = at_least_one("size", size)
    if size < 4:
        raise ValueError(f"size={size} is below 4; pooled twice, nothing is left of the image")
    return _glorot(
        nn.Sequential(
            OrderedDict(
                conv1=convolution(channels, 16, kernel_size=3, padding=1),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=convolution(16, 32, kernel_size=3, padding=1),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
                flatten=nn.Flatten(),
                output=dense(32 * (size // 4) ** 2, classes),
            )
        )
    )


def _glorot(model: nn.Sequential) -> nn.Sequential:
    for layer in model:
        if hasattr(layer, "weight"):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model
