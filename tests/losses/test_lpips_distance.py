import lpips
import torch

from autolink_gen.losses.lpips_distance import LpipsDistance


def _distance(kind: type[lpips.LPIPS]) -> lpips.LPIPS:
    torch.manual_seed(0)
    return kind(net="alex", pnet_rand=True, verbose=False).eval().requires_grad_(False)


def test_values_are_the_packages() -> None:
    one, other = torch.rand(2, 2, 3, 64, 64)
    theirs = _distance(lpips.LPIPS)(one, other, normalize=True)
    assert theirs.min() > 0
    torch.testing.assert_close(_distance(LpipsDistance)(one, other), theirs)


def test_the_gradient_is_finite_where_no_feature_is_active() -> None:
    distance = _distance(LpipsDistance)
    for name, values in distance.net.named_parameters():
        if name.endswith("bias"):
            values.fill_(-1e3)
    picture = torch.zeros(1, 3, 64, 64, requires_grad=True)
    distance(picture, torch.zeros(1, 3, 64, 64)).sum().backward()
    assert picture.grad is not None
    assert picture.grad.isfinite().all()
