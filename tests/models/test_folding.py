"""The detector for inference gives the keypoints of the detector, and is never stale."""

import copy

import pytest
import torch
from torch import nn

from autolink_gen.checkpoints import load_graph_model, save_model
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.blocks import start_convolutions
from autolink_gen.models.detector import Detector
from autolink_gen.models.folding import FoldedDetector, fold_detector, halving_convolution, stack_convolutions


def randomise_norms(module: nn.Module, generator: torch.Generator) -> None:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.bias, std=0.3, generator=generator)
            nn.init.normal_(norm.running_mean, std=0.5, generator=generator)
            for scale in (norm.weight, norm.running_var):
                nn.init.uniform_(scale, 0.5, 1.5, generator=generator)


def random_detector(count: int, width: float) -> Detector:
    torch.manual_seed(0)
    detector = Detector(count, width=width)
    start_convolutions(detector)
    randomise_norms(detector, torch.Generator().manual_seed(1))
    return detector.eval()


def small_model() -> AutoLink:
    torch.manual_seed(0)
    model = AutoLink(AutoLinkConfig(num_keypoints=4, image_size=64, width=0.1))
    randomise_norms(model, torch.Generator().manual_seed(1))
    return model.eval()


def is_quick(model: AutoLink) -> bool:
    """Whether detection goes by another network than ``model.detector``."""
    calls: list[str] = []
    handle = model.detector.register_forward_hook(lambda *_: calls.append("plain"))
    model.detect(torch.rand(1, 3, 64, 64))
    handle.remove()
    return not calls


@pytest.mark.parametrize("width", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("size", [64, 128])
def test_equal_keypoints(width, size):
    detector = random_detector(5, width)
    pictures = torch.rand(2, 3, size, size) * 2 - 1
    with torch.no_grad():
        plain, folded = detector(pictures), fold_detector(detector)(pictures)
    assert plain.std() > 1e-3  # else equal keypoints would show nothing
    torch.testing.assert_close(folded, plain, rtol=0, atol=1e-4)


def test_equal_heatmaps_in_double_precision():
    detector = random_detector(3, 0.1).double()
    pictures = torch.rand(1, 3, 64, 64, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(fold_detector(detector).layers(pictures), detector.heatmaps(pictures))


def test_what_is_folded_away():
    layers = list(fold_detector(random_detector(3, 0.1)).modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in layers)
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [conv.kernel_size[0] for conv in convolutions] == [4, 3] * 4 + [3, 3, 3]


def test_the_detector_is_left_as_it_is():
    detector = random_detector(3, 0.1)
    detector.train()
    before = copy.deepcopy(detector.state_dict())
    folded = fold_detector(detector)
    assert all(module.training for module in detector.modules())
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())
    assert all(p.requires_grad for p in detector.parameters())
    assert not any(p.requires_grad for p in folded.parameters())
    own = {p.data_ptr() for p in folded.parameters()}
    assert not own & {p.data_ptr() for p in detector.parameters()}


def test_a_halving_convolution_made_in_advance():
    block = random_detector(3, 0.1).double().layers[1].body[0]
    x = torch.rand(2, block.in_channels, 12, 8, dtype=torch.float64)
    torch.testing.assert_close(halving_convolution(block)(x), block(x))


def test_stacked_convolutions_yield_the_channels_of_each_in_turn():
    first, second = (nn.Conv2d(3, channels, 3, padding=1, dtype=torch.float64) for channels in (2, 5))
    x = torch.rand(1, 3, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(stack_convolutions([first, second])(x), torch.cat([first(x), second(x)], 1))


def test_a_loaded_model_is_quick_and_detects_the_same(tmp_path):
    model = small_model()
    save_model(tmp_path / "model.safetensors", model)
    loaded = load_graph_model(tmp_path)
    images = torch.rand(2, 3, 70, 50)
    assert is_quick(loaded)
    assert not is_quick(model)
    torch.testing.assert_close(loaded.detect(images), model.detect(images), rtol=0, atol=1e-4)


def test_preparing_ends_training_mode():
    assert not small_model().train().prepare_for_inference().training


@pytest.mark.parametrize("how", ["train", "eval", "load_state_dict", "to", "apply"])
def test_the_quick_detector_is_never_stale(how):
    model = small_model().prepare_for_inference()
    assert is_quick(model)
    changed = {name: value * 1.1 for name, value in model.state_dict().items()}
    {
        "train": model.train,
        "eval": model.eval,
        "load_state_dict": lambda: model.load_state_dict(changed),
        "to": lambda: model.to(torch.float64),
        "apply": model.double,
    }[how]()
    assert not is_quick(model)


def test_the_quick_detector_is_no_part_of_the_model():
    model = small_model()
    names, modules = set(model.state_dict()), len(list(model.modules()))
    model.prepare_for_inference()
    assert set(model.state_dict()) == names
    assert len(list(model.modules())) == modules
    assert not any(isinstance(module, FoldedDetector) for module in model.modules())


def test_a_copy_is_quick_too_and_on_its_own():
    model = small_model().prepare_for_inference()
    twin = copy.deepcopy(model)
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(twin.detect(images), model.detect(images))
    twin.train()
    assert is_quick(model)
