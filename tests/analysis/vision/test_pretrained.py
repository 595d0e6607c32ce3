import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from analysis.vision.pretrained import load_pretrained
from balancer.errors import ModelError

GREYS = np.random.default_rng(0).integers(0, 256, (2, 64, 64)).astype(np.uint8)  # small, so that it is quick


def save(path, network):
    save_file(network.state_dict(), path)
    return path


def draw(build):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build().eval()


def test_a_resnet_gives_what_comes_before_its_last_layer(tmp_path):
    network = draw(models.resnet50)
    features = load_pretrained(save(tmp_path / "r.safetensors", network))(GREYS)
    assert features.shape == (2, 2048)
    mean, scale = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    images = (torch.from_numpy(GREYS).float().div(255).unsqueeze(-1) - mean) / scale
    network.fc = nn.Identity()
    with torch.inference_mode():
        assert np.allclose(features, network(images.permute(0, 3, 1, 2)).numpy(), rtol=1e-4, atol=1e-4)


def test_a_densenet_of_torchxrayvision_sees_grey_in_its_own_range(tmp_path):
    network = draw(lambda: models.densenet121(num_classes=18))
    network.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    state = {**network.state_dict(), "op_threshs": torch.zeros(18)}
    save_file(state, tmp_path / "d.safetensors")
    features = load_pretrained(tmp_path / "d.safetensors")(GREYS)
    assert features.shape == (2, 1024)
    network.classifier = nn.Identity()
    with torch.inference_mode():
        images = torch.from_numpy(GREYS).float().unsqueeze(1) / 255 * 2048 - 1024
        assert np.allclose(features, network(images).numpy(), rtol=1e-3, atol=1e-3)


def written(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda folder: written(folder / "w.pth", b"a pickle"), "no safetensors file"),
        (lambda folder: folder / "w.safetensors", "no such file"),
        (lambda folder: written(folder / "w.safetensors", b"nonsense"), "damaged"),
        (lambda folder: save(folder / "w.safetensors", nn.Linear(2, 2)), "none of these"),
        (lambda folder: cut(folder / "w.safetensors"), "does not fit"),
    ],
)
def test_other_weights_are_refused(tmp_path, make, found):
    with pytest.raises(ModelError, match=found):
        load_pretrained(make(tmp_path))


def cut(path):
    state = draw(models.densenet121).state_dict()
    del state["features.norm5.weight"]
    save_file(state, path)
    return path
