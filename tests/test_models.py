import pytest
import torch

import zimp


def test_the_networks_compute_what_their_docstrings_say():
    relu, pool, F = torch.relu, torch.nn.MaxPool2d(2), torch.nn.functional
    torch.manual_seed(0)
    x, lenet, conv = torch.randn(5, 2, 9, 9), zimp.lenet_300_100(162), zimp.small_conv(2, 9)
    w1, b1, w2, b2, w3, b3 = lenet.parameters()
    hidden = relu(F.linear(relu(F.linear(x.flatten(1), w1, b1)), w2, b2))
    assert torch.allclose(lenet(x), F.linear(hidden, w3, b3), atol=1e-5)
    w1, b1, w2, b2, w3, b3 = conv.parameters()
    assert (len(w1), len(w2)) == (16, 32)
    hidden = pool(relu(F.conv2d(pool(relu(F.conv2d(x, w1, b1, padding=1))), w2, b2, padding=1)))
    assert torch.allclose(conv(x), F.linear(hidden.flatten(1), w3, b3), atol=1e-5)


def test_lenet_300_100_has_its_layers():
    shapes = {name: tuple(weight.shape) for name, weight in zimp.prunable(zimp.lenet_300_100(64, 7)).items()}
    assert shapes == {"fc1.weight": (300, 64), "fc2.weight": (100, 300), "output.weight": (7, 100)}


def test_lenet_300_100_flattens_images_of_any_shape():
    model = zimp.lenet_300_100(48)
    images = torch.rand(5, 3, 4, 4)
    assert torch.equal(model(images), model(images.reshape(5, 48)))


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32), (2, 9)])
def test_small_conv_takes_images_of_its_size(channels, size):
    model = zimp.small_conv(channels, size, classes=7)
    assert model(torch.rand(5, channels, size, size)).shape == (5, 7)
    assert list(zimp.prunable(model)) == ["conv1.weight", "conv2.weight", "output.weight"]


@pytest.mark.parametrize("build", [zimp.lenet_300_100, zimp.small_conv])
def test_weights_are_glorots_gaussian_and_biases_zero(build):
    torch.manual_seed(0)
    for layer in build():
        if hasattr(layer, "weight"):
            patch = layer.weight[0, 0].numel()
            variance = 2 / (patch * (layer.weight.shape[0] + layer.weight.shape[1]))
            standardised = layer.weight.detach().ravel() / variance**0.5
            spread = 8 / len(standardised) ** 0.5
            assert standardised.square().mean().item() == pytest.approx(1, abs=spread)
            assert standardised.pow(4).mean().item() == pytest.approx(3, abs=10 * spread)  # a uniform one has 1.8
            assert not layer.bias.any()


@pytest.mark.parametrize("build", [zimp.lenet_300_100, zimp.small_conv])
def test_a_seed_fixes_the_weights(build):
    networks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        networks.append(torch.cat([weight.ravel() for weight in zimp.prunable(build()).values()]))
    assert torch.equal(networks[0], networks[1]) and not torch.equal(networks[0], networks[2])
