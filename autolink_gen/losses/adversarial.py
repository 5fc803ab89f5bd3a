"""The GAN's losses: adversarial ones (AutoLink eq. 7-9), one function an equation, and one on structure."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def generator_loss(fake_logits: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """The non-saturating loss: the mean of softplus(-D(G)) (AutoLink eq. 7)."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Float[Tensor, " B"], fake_logits: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """The logistic loss: the means of softplus(D(G)) and of softplus(-D(x)), added (AutoLink eq. 8)."""
    return F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()


def relativistic_loss(higher: Float[Tensor, " B"], lower: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """The mean of softplus(-(higher - lower)) over pairs (Jolicoeur-Martineau 2018).

    The discriminator wants the logits of real images higher than those of painted ones, the generator the
    other way round.
    """
    return F.softplus(lower - higher).mean()


def keypoint_distances(detected: Float[Tensor, "B K 2"], targets: Float[Tensor, "B K 2"]) -> Float[Tensor, " K"]:
    """The mean distance of each keypoint detected in a batch from its place, in units of [-1, 1]."""
    return (detected - targets).norm(dim=-1).mean(dim=0)


def structure_loss(painted: Float[Tensor, " K"], real: Float[Tensor, " K"]) -> Float[Tensor, ""]:
    """How much farther from their places keypoints are in painted than in real images, the mean over keypoints.

    Both are mean distances by keypoint; where a keypoint is as near in what is painted, nothing is lost. Differs:
    the paper's GAN has no such term.
    """
    return F.relu(painted - real.detach()).mean()


def gradient_penalty(logits: Float[Tensor, " B"], images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, ""]:
    """The mean over images of the squared norm of the gradient of their logits (AutoLink eq. 9, times 2/gamma).

    On real images it is R1, on painted ones R2 (Mescheder et al. 2018). ``images`` must require gradients,
    and the result has a graph of its own, so that it can be trained on.

    Differs: the paper prints the gradient without its norm.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
