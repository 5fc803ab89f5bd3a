import numpy as np
import pytest
import torch

from autolink_gen.viz import graphs as viz
from autolink_gen.viz import titles

LEFT_RIGHT = np.array([[-0.5, 0.0], [0.5, 0.0]])


def _weights(num_keypoints: int, edges: dict[tuple[int, int], float]) -> np.ndarray:
    weights = np.zeros((num_keypoints, num_keypoints))
    for (i, j), weight in edges.items():
        weights[i, j] = weights[j, i] = weight
    return weights


def _grey(height: int = 201, width: int = 201) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def test_a_dot_lies_at_its_keypoint_in_its_colour() -> None:
    picture = _grey(201, 401)
    drawn = viz.draw_graph(picture, np.array([[0.0, 0.0], [0.5, -0.5]]))
    colours = viz.keypoint_colours(2)
    assert drawn.shape == picture.shape
    assert (drawn[100, 200] == colours[0]).all()
    assert (drawn[50, 300] == colours[1]).all()
    assert (drawn[100, 230] == 90).all()
    assert (picture == 90).all(), "the given picture must stay as it is"


def test_corner_keypoints_are_the_centres_of_the_corner_pixels() -> None:
    drawn = viz.draw_graph(_grey(), np.array([[-1.0, -1.0], [1.0, 1.0]]))
    colours = viz.keypoint_colours(2)
    assert (drawn[0, 0] == colours[0]).all()
    assert (drawn[200, 200] == colours[1]).all()


@pytest.mark.parametrize("point", [(-1.02, 0.3), (7.0, 0.0), (0.0, -1e9), (np.nan, 0.0), (np.inf, 0.0)])
def test_keypoints_off_the_picture_or_not_finite_are_survived(point: tuple[float, float]) -> None:
    keypoints = np.array([point, [0.0, 0.0]])
    drawn = viz.draw_graph(_grey(), keypoints, _weights(2, {(0, 1): 1.0}))
    assert (drawn[100, 100] == viz.keypoint_colours(2)[1]).all()


def test_opacity_follows_the_share_of_the_largest_weight() -> None:
    keypoints = np.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
    weak = viz.draw_graph(_grey(), keypoints, _weights(4, {(0, 1): 8.0, (2, 3): 2.0}))
    strong, faint = weak[50, 100].astype(int), weak[150, 100].astype(int)
    assert (strong == 255).all()
    assert (faint != 90).any()
    assert (faint < strong).all()
    scaled = viz.draw_graph(_grey(), keypoints, _weights(4, {(0, 1): 0.08, (2, 3): 0.02}))
    assert (scaled == weak).all()


def test_threshold_is_a_share_of_the_largest_weight() -> None:
    weights = _weights(4, {(0, 1): 8.0, (2, 3): 2.0, (0, 2): 0.8})
    assert viz.strong_edges(weights, threshold=0.25) == [(0, 1, 1.0), (2, 3, 0.25)]
    assert viz.strong_edges(weights, threshold=0.0) == [(0, 1, 1.0), (2, 3, 0.25), (0, 2, pytest.approx(0.1))]
    keypoints = np.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
    drawn = viz.draw_graph(_grey(), keypoints, weights, threshold=0.5)
    assert (drawn[150, 100] == 90).all()
    assert (drawn[50, 100] == 255).all()


def test_a_graph_without_positive_weights_has_no_edges() -> None:
    assert viz.strong_edges(np.zeros((3, 3)), threshold=0.0) == []
    with_edges = viz.draw_graph(_grey(), LEFT_RIGHT, np.zeros((2, 2)))
    assert (with_edges == viz.draw_graph(_grey(), LEFT_RIGHT)).all()


def test_a_long_edge_has_no_gaps_where_its_pieces_meet() -> None:
    drawn = viz.draw_graph(_grey(801, 801), np.array([[-0.9, 0.0], [0.9, 0.0]]), _weights(2, {(0, 1): 1.0}))
    assert (drawn[400, 80:721] == 255).all()
    diagonal = viz.draw_graph(_grey(801, 801), np.array([[-0.9, -0.9], [0.9, 0.9]]), _weights(2, {(0, 1): 1.0}))
    middle = np.arange(80, 721)
    assert (diagonal[middle, middle] == 255).all()


def test_small_pictures_are_enlarged_and_the_dots_stay_in_place() -> None:
    picture = _grey(64, 64)
    picture[16, 48] = 255  # (x, y) pixel (48, 16)
    keypoints = np.array([[48 / 63 * 2 - 1, 16 / 63 * 2 - 1]])
    drawn = viz.draw_graph(picture, keypoints, min_side=192)
    assert drawn.shape == (192, 192, 3)
    assert (drawn[3 * 16 + 1, 3 * 48 + 1] == viz.keypoint_colours(1)[0]).all()


@pytest.mark.parametrize("shape", [(1, 40_000), (40_000, 1), (2, 9000)])
def test_a_narrow_picture_is_not_enlarged_without_end(shape: tuple[int, int]) -> None:
    drawn = viz.draw_graph(_grey(*shape), np.array([[0.0, 0.0]]))
    assert max(drawn.shape) <= max(16_000, *shape)
    assert (drawn[drawn.shape[0] // 2, drawn.shape[1] // 2] == viz.keypoint_colours(1)[0]).all()


def test_edges_are_drawn_strip_by_strip_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints, weights = np.array([[-0.8, -0.9], [0.7, 0.8], [0.9, -0.3]]), _weights(3, {(0, 1): 1.0, (1, 2): 0.5})
    expected = viz.draw_graph(_grey(200, 300), keypoints, weights).astype(int)
    monkeypatch.setattr(viz, "_STRIP_PX", 300 * 7)
    assert np.abs(viz.draw_graph(_grey(200, 300), keypoints, weights) - expected).max() <= 1


def test_edges_inside_a_cluster_take_its_colour() -> None:
    keypoints = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5]])
    weights = _weights(3, {(0, 1): 1.0, (1, 2): 1.0})
    colours = viz.keypoint_colours(2)[[0, 0, 1]]
    drawn = viz.draw_graph(_grey(), keypoints, weights, colours=colours)
    assert (drawn[50, 100] == colours[0]).all()
    assert (drawn[100, 150] == 255).all()


def test_colours_are_distinct_and_belong_to_the_index() -> None:
    many = viz.keypoint_colours(64)
    assert (many[:8] == viz.keypoint_colours(8)).all()
    assert len({tuple(colour) for colour in many.tolist()}) == 64


def test_tensors_that_need_gradients_are_drawn() -> None:
    keypoints = torch.zeros(2, 2, requires_grad=True)
    weights = torch.ones(2, 2, requires_grad=True)
    assert viz.draw_graph(_grey(), keypoints, weights).shape == (201, 201, 3)


def test_grid_places_pictures_of_unlike_sizes_and_rows_of_unlike_length() -> None:
    red, grey = np.zeros((10, 20, 3), np.uint8), np.full((6, 8), 50, np.uint8)
    red[..., 0] = 200
    grid = viz.image_grid([[red, grey], [grey]], padding=2)
    assert grid.shape == (2 + 2 * 12, 2 + 2 * 22, 3)
    assert (grid[2:12, 2:22] == (200, 0, 0)).all()
    assert (grid[4:10, 30:38] == 50).all()
    assert (grid[14:24, 24:44] == 255).all()


def test_grid_titles_are_written_above_their_columns() -> None:
    dark = np.zeros((60, 60, 3), np.uint8)
    plain, titled = viz.image_grid([[dark, dark]]), viz.image_grid([[dark, dark]], labels=["a", "b"])
    head = len(titled) - len(plain)
    assert head > 0
    assert (titled[head:] == plain).all()
    ink = (titled[:head] < 128).any(axis=(0, 2))
    assert ink[:64].any() and ink[64:].any()


def test_long_titles_lose_their_middle_and_keep_apart() -> None:
    dark, title = np.zeros((60, 60, 3), np.uint8), "a_picture_with_a_long_name"
    short = titles.shorten_title(f"{title} changed", 60, size_px=10)
    assert short.startswith("a_p") and "..." in short and short.endswith("ged")
    assert titles.shorten_title("pose0", 60, size_px=10) == "pose0"
    heads = [viz.image_grid([[dark, dark]], labels=[title, label])[:15] for label in (title, f"{title} changed")]
    for head in heads:
        assert (head < 128).any() and (head[:, 64:68] > 200).all(), "the gap between the columns stays white"
    assert (heads[0] != heads[1]).any()


def test_grid_names_are_written_to_the_left_of_their_rows() -> None:
    dark = np.zeros((60, 60, 3), np.uint8)
    plain, named = viz.image_grid([[dark], [dark]]), viz.image_grid([[dark], [dark]], names=["", "row two"])
    margin = named.shape[1] - plain.shape[1]
    assert margin > 0
    assert (named[:, margin:] == plain).all()
    ink = (named[:, :margin] < 128).any(axis=(1, 2))
    assert not ink[:64].any() and ink[64:].any()


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="rows is empty"):
        viz.image_grid([[], []])


def test_pictures_of_a_model_become_bytes() -> None:
    images = torch.tensor([-3.0, 0.0, 0.5, 1.0, 3.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert viz.to_uint8(images)[0, 0, :, 1].tolist() == [0, 0, 128, 255, 255]


def test_training_grid_has_a_row_a_sample_and_five_columns() -> None:
    images = torch.full((2, 3, 64, 64), 0.5)
    edge_maps = torch.zeros(2, 1, 32, 32)
    edge_maps[1] = 0.01
    overlays = viz.draw_graphs(images, torch.zeros(2, 4, 2))
    grid = viz.training_grid(images, images - 1, images + 1, edge_maps, overlays)
    head = grid.shape[0] - 2 * 196
    assert grid.shape[1] == 4 + 5 * 196
    columns = [grid[head + 40, 4 + column * 196 + 40].tolist() for column in range(5)]
    assert columns == [[128] * 3, [0] * 3, [255] * 3, [0] * 3, [128] * 3]
    assert grid[head + 196 + 40, 4 + 3 * 196 + 40].tolist() == [255] * 3


def test_training_grid_of_a_graph_without_edges_is_black_where_the_map_is() -> None:
    images = torch.zeros(1, 3, 64, 64)
    grid = viz.training_grid(images, images, images, torch.zeros(1, 1, 64, 64), [_grey(192, 192)])
    assert (grid[-100, 4 + 3 * 196 + 90] == 0).all()


def test_a_painted_grid_has_the_pictures_above_and_a_row_a_style() -> None:
    pictures, poses = torch.full((3, 3, 8, 8), 0.5), torch.zeros(3, 2, 2)
    rows = [torch.full((3, 3, 8, 8), value) for value in (0.0, 1.0)]
    grid = viz.painted_grid(pictures, poses, torch.zeros(2, 2), rows, side_px=32)
    assert grid.shape == (4 + 3 * 36, 4 + 3 * 36, 3)
    assert (grid[4 + 36 : 36 + 36, 4:36] == 0).all() and (grid[4 + 72 : 72 + 36, 4:36] == 255).all()
    assert (grid[4:8, 4:8] == 128).all()


def test_mean_pose_is_magnified_and_keeps_its_shape() -> None:
    small = np.array([[-0.1, 0.0], [0.1, 0.0], [0.0, 0.05]]) + 0.3
    drawn = viz.graph_on_mean_pose(small, _weights(3, {(0, 1): 1.0, (0, 2): 0.01}), side_px=401)
    colours = viz.keypoint_colours(3)
    assert drawn.shape == (401, 401, 3)
    assert (drawn[160, 40] == colours[0]).all()  # the widest pair spans 0.8 of the picture
    assert (drawn[160, 360] == colours[1]).all()
    assert (drawn[240, 200] == colours[2]).all()


def test_a_mean_pose_in_one_point_is_drawn() -> None:
    drawn = viz.graph_on_mean_pose(np.zeros((2, 2)), np.ones((2, 2)), side_px=201)
    assert (drawn[100, 100] == viz.keypoint_colours(2)[1]).all()


def test_keypoints_without_edges_are_left_out_and_clusters_named() -> None:
    keypoints = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5]])
    drawn = viz.draw_graph(_grey(), keypoints, _weights(3, {(0, 1): 1.0}), threshold=1.0)
    assert (drawn[140:] == 90).all() and (drawn[100, 50] == viz.keypoint_colours(1)[0]).all()
    apart = np.array([[-0.1, 0.0], [0.1, 0.0], [9.0, 9.0]])
    weights = _weights(3, {(0, 1): 1.0})
    plain = viz.graph_on_mean_pose(apart, weights, side_px=401)
    assert (plain[200, 40] == viz.keypoint_colours(1)[0]).all(), "the far one counts neither for the size"
    colour = np.array([250, 10, 20], np.uint8)
    named = viz.graph_on_mean_pose(apart, weights, side_px=401, legend=[("cluster 0", colour)])
    changed = (named != plain).any(axis=2)
    assert changed[:30, :100].any() and not changed[40:].any()
    assert (named[changed] == colour).all(axis=1).any()


def test_a_grid_of_floats_is_no_black_picture() -> None:
    grey = np.full((32, 32, 3), 0.5)
    with pytest.raises(ValueError, match=r"must be a uint8 array, got float64; .*255"):
        viz.image_grid([[grey]])
    assert viz.image_grid([[(255 * grey).round().astype(np.uint8)]]).max() == 255
