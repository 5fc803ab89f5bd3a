"""What users hand over: the ranges and types that are taken, and the remedies for others."""

import numpy as np
import pytest
import torch
from helpers.messages import raises_mentioning

from autolink_gen.ops.ranges import check_edge_weights, check_keypoints, unit_images


def test_pictures_in_range_are_taken_as_they_are():
    pictures = torch.rand(2, 3, 5, 4) * 1.1 - 0.05  # as enlarging leaves them
    assert unit_images(pictures) is pictures
    assert unit_images(torch.empty(0, 3, 5, 4)).shape == (0, 3, 5, 4)


def test_half_precision_is_taken_in_full():
    assert unit_images(torch.full((1, 3, 2, 2), 0.5, dtype=torch.half)).dtype == torch.float32


def test_bytes_become_shares_of_white():
    found = unit_images(torch.tensor([[[0, 51, 255]]], dtype=torch.uint8))
    torch.testing.assert_close(found, torch.tensor([[[0.0, 0.2, 1.0]]]))


@pytest.mark.parametrize(
    ("pictures", "things"),
    [
        (torch.tensor([0.0, 255.0]), ("[0, 1]", "0 to 255", "divide")),
        (torch.tensor([-1.0, 1.0]), ("-1 to 1", "[-1, 1]", "(images + 1) / 2")),
        (torch.tensor([-2.1, 2.6]), ("-2.1 to 2.6", "mean", "deviation")),
        (torch.tensor([0.2, float("nan")]), ("finite",)),
        (torch.tensor([0.2, float("inf")]), ("finite",)),
        (torch.tensor([3, 200]), ("floats", "uint8", "torch.int64", "divide")),
        (torch.tensor([True]), ("floats", "uint8", "torch.bool")),
        (np.zeros((4, 4, 3), np.uint8), ("tensor", "ndarray", "torch.from_numpy(array).permute(2, 0, 1)")),
    ],
)
def test_other_pictures_are_refused_with_a_remedy(pictures, things):
    with raises_mentioning(ValueError, "mine", *things):
        unit_images(pictures, name="mine")


def test_keypoints_may_leave_the_picture_and_not_be_in_pixels():
    check_keypoints(torch.tensor([[[-3.0, 2.5]]]))
    check_keypoints(torch.empty(0, 4, 2))
    with pytest.raises(ValueError, match=r"keypoints must be \(x, y\) in \[-1, 1\], got 96; pixels become so by"):
        check_keypoints(torch.tensor([[[96.0, 40.0]]]))
    for bad in ("nan", "inf"):
        with pytest.raises(ValueError, match="no finite numbers"):
            check_keypoints(torch.tensor([[[0.0, float(bad)]]]))


def test_edge_weights_are_finite_and_not_negative():
    check_edge_weights(torch.tensor([[0.0, 5.0], [5.0, 0.0]]))
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="edge_weights must be finite and 0 or more"):
            check_edge_weights(torch.tensor([[0.0, bad], [bad, 0.0]]))
