"""What a graph detects on and draws on: files, PIL images, arrays, tensors; and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny_models import tiny_graph
from PIL import Image

from autolink_gen.checkpoints import load_graph_model, save_model
from autolink_gen.data.images import read_image
from autolink_gen.data.inputs import image_tensors
from autolink_gen.models.autolink import AutoLink

_UPSIDE_DOWN, _ORIENTATION = 3, 0x0112


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> AutoLink:
    model = tiny_graph(4, sigma2=1e-2)
    file = tmp_path_factory.mktemp("graph") / "model.safetensors"
    save_model(file, model)
    return load_graph_model(file)


def pixels(height: int = 50, width: int = 70, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255


def expected(graph: AutoLink, *arrays: np.ndarray) -> torch.Tensor:
    return torch.stack([graph.detect(tensor(array)) for array in arrays])


def test_one_image_of_every_kind_gives_the_same_batch_of_one(graph, tmp_path):
    array = pixels()
    Image.fromarray(array).save(tmp_path / "bird.png")
    for given in (
        tmp_path / "bird.png",
        str(tmp_path / "bird.png"),
        Image.fromarray(array),
        Image.open(tmp_path / "bird.png"),
        array,
        array[None],
        array[:, ::-1][:, ::-1],  # backwards in memory
        tensor(array)[None],
    ):
        torch.testing.assert_close(graph.detect(given), expected(graph, array))
    torch.testing.assert_close(graph.detect(tensor(array)), expected(graph, array)[0])  # as the tensor, no batch


def test_images_of_many_sizes_and_kinds_are_found_in_their_order(graph, tmp_path):
    arrays = [pixels(seed=1), pixels(40, 40, seed=2), pixels(seed=3), pixels(seed=4)]
    Image.fromarray(arrays[0]).save(tmp_path / "a.png")
    mixed = [tmp_path / "a.png", Image.fromarray(arrays[1]), arrays[2], tensor(arrays[3])]
    torch.testing.assert_close(graph.detect(mixed), expected(graph, *arrays))
    many = [pixels(20, 20, seed=seed) for seed in range(19)]
    torch.testing.assert_close(graph.detect(many), expected(graph, *many))
    torch.testing.assert_close(graph.detect(np.stack(many)), expected(graph, *many))


def test_a_photo_is_turned_and_transparency_lies_over_white(graph, tmp_path):
    exif = Image.Exif()
    exif[_ORIENTATION] = _UPSIDE_DOWN
    photo, cut_out = tmp_path / "photo.jpg", tmp_path / "cut-out.png"
    Image.fromarray(pixels()).save(photo, exif=exif)
    Image.fromarray(np.dstack([pixels(), pixels(seed=1)[..., 0]])).save(cut_out)
    for file in (photo, cut_out):
        seen = np.asarray(read_image(file))
        torch.testing.assert_close(graph.detect(file), expected(graph, seen))
        torch.testing.assert_close(graph.detect(Image.open(file)), expected(graph, seen))
    stored = np.asarray(Image.open(photo))
    assert not torch.allclose(graph.detect(photo), expected(graph, stored), atol=1e-4)


@pytest.mark.parametrize(
    ("given", "mentions"),
    [
        (np.zeros((8, 8), np.uint8), ("images", "(8, 8)", "np.stack([grey] * 3")),
        (np.zeros((8, 8, 4), np.uint8), ("(8, 8, 4)", "PIL image")),
        (np.zeros((3, 8, 8), np.uint8), ("(3, 8, 8)", "moveaxis(images, -3, -1)")),
        (np.zeros((8, 8, 3), np.float32), ("uint8", "float32", "255 *")),
        (np.zeros((8, 8, 3), np.int64), ("uint8", "int64")),
        (np.zeros((0, 8, 8, 3), np.uint8), ("empty",)),
        ([], ("empty", "path")),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)], ("images[1]", "(8, 8)")),
        ([torch.rand(3, 8, 8) * 255], ("images[0]", "[0, 1]", "255")),
        ([torch.rand(3, 8, 8) * 2 - 1], ("images[0]", "[-1, 1]", "(images + 1) / 2")),
        (torch.rand(8, 8, 3), ("(8, 8, 3)", "movedim")),
        (torch.rand(8, 8), ("(8, 8)", "grey")),
        (torch.rand(3, 8, 8) * 255, ("[0, 1]", "divide by 255")),
        (torch.randint(0, 255, (3, 8, 8)), ("int64", "uint8")),
        (Image.fromarray(np.zeros((8, 8), np.float32)), ("mode F", "convert")),
        ("no/such/bird.jpg", ("no/such/bird.jpg", "no such file")),
    ],
)
def test_what_is_no_image_is_refused_with_a_remedy(graph, given, mentions):
    with pytest.raises(ValueError) as caught:
        graph.detect(given)
    assert all(word in str(caught.value) for word in mentions), caught.value


@pytest.mark.parametrize("given", [3, None, {"bird.jpg": 1}, iter(["bird.jpg"])])
def test_what_is_no_image_at_all_is_refused_by_type(given):
    with pytest.raises(ValueError, match=f"path.*{type(given).__name__}"):
        list(image_tensors(given))


def test_a_folder_and_a_file_of_another_kind_are_refused(graph, tmp_path):
    (tmp_path / "notes.jpg").write_text("no picture")
    for path, word in ((tmp_path, "folder"), (tmp_path / "notes.jpg", "notes.jpg")):
        with pytest.raises(ValueError, match=word):
            graph.detect(path)


def test_one_image_gives_one_drawing_and_several_a_list(graph, tmp_path):
    array = pixels(200, 260)
    Image.fromarray(array).save(tmp_path / "bird.png")
    drawing = graph.draw(tmp_path / "bird.png", threshold=0.0)
    assert isinstance(drawing, Image.Image) and drawing.size == (260, 200)
    changed = (np.asarray(drawing) != array).any(-1)
    x, y = ((graph.detect(array)[0].numpy() + 1) / 2 * [259, 199]).round().astype(int).T
    assert changed[y, x].all() and 0.001 < changed.mean() < 0.5
    several = graph.draw([array, tensor(array)])
    assert [one.size for one in several] == [(260, 200)] * 2
    assert isinstance(graph.draw(array[None]), list)


def test_a_drawing_has_the_size_asked_for(graph):
    assert graph.draw(pixels(20, 40)).size == (400, 200)  # enlarged by a whole factor
    assert graph.draw(pixels(20, 40), size=100).size == (100, 50)
    assert graph.draw(tensor(pixels(300, 150)), size=100).size == (50, 100)
    for size in (0, 10**6):
        with pytest.raises(ValueError, match=f"size is {size}"):
            graph.draw(pixels(), size=size)


def test_paths_may_be_given_relative_to_here(graph, tmp_path, monkeypatch):
    Image.fromarray(pixels()).save(tmp_path / "bird.png")
    monkeypatch.chdir(tmp_path)
    torch.testing.assert_close(graph.detect("bird.png"), graph.detect(Path("bird.png")))
