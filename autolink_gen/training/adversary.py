"""What a painter is trained against: the discriminator with its loss (AutoLink eq. 7-9)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.config import AdversarialConfig, default_gamma
from autolink_gen.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty, relativistic_loss
from autolink_gen.models.discriminator import Discriminator
from autolink_gen.models.generator import GanConfig
from autolink_gen.ops.precision import single
from autolink_gen.ops.ranges import to_signed
from autolink_gen.training.augment import Augment


class CriticLosses(NamedTuple):
    """What the discriminator is trained on: its whole loss, and parts of it for the logs."""

    loss: Float[Tensor, ""]
    penalty: Float[Tensor, ""]
    real_logit: Float[Tensor, ""]
    fake_logit: Float[Tensor, ""]


def make_critic(networks: GanConfig, config: AdversarialConfig) -> "Critic":
    """A discriminator with its loss, gamma being the picture size's own unless the configuration has one."""
    gamma = default_gamma(networks.image_size) if config.gamma is None else config.gamma
    return Critic(Discriminator(networks), config, gamma=gamma).to(memory_format=torch.channels_last)


class Critic(nn.Module):
    """The discriminator with its loss: one forward pass and one backward pass hold eq. 8 and eq. 9 together.

    Spread over processes, gradients are averaged in that one backward; a penalty with a backward of its own would
    be left out.
    """

    def __init__(self, discriminator: Discriminator, config: AdversarialConfig, *, gamma: float) -> None:
        super().__init__()
        self.discriminator, self.config, self.gamma = discriminator, config, gamma
        self.augment = Augment() if config.augment else None

    def forward(
        self,
        real: Float[Tensor, "B 3 S S"],
        real_maps: Float[Tensor, "B 1 S S"],
        fake: Float[Tensor, "B 3 S S"],
        fake_maps: Float[Tensor, "B 1 S S"],
        *,
        penalise: bool,
        seed: int = 0,
    ) -> CriticLosses:
        """The losses on real and painted images in [0, 1]; ``penalise`` adds the gradient penalty."""
        if swapped := round(self.config.mismatched * len(fake)):
            fake = torch.cat([real[:swapped], fake[swapped:]])  # the maps are those of other pictures
        real = single(real.detach()).requires_grad_(penalise)
        fake = single(fake.detach()).requires_grad_(penalise and self.config.relativistic)
        real_logits = self.logits(real, real_maps, seed=seed)
        fake_logits = self.logits(fake, fake_maps, seed=seed + 1)
        relativistic = self.config.relativistic
        loss = (relativistic_loss if relativistic else discriminator_loss)(real_logits, fake_logits)
        penalty = loss.new_zeros(())
        if penalise:
            penalty = gradient_penalty(real_logits, real)
            if relativistic:
                penalty = penalty + gradient_penalty(fake_logits, fake)
            penalty = penalty / 4  # gamma is meant for images in [-1, 1], whose gradients are half as long
            loss = loss + self.gamma / 2 * self.config.penalty_every * penalty
        return CriticLosses(loss, penalty, real_logits.mean(), fake_logits.mean())

    def logits(self, pictures: Tensor, edge_maps: Tensor, *, seed: int) -> Float[Tensor, " B"]:
        """The discriminator's logits, of augmented pictures where the configuration asks for it."""
        if self.augment is not None:
            pictures, edge_maps = self.augment(pictures, edge_maps, seed=seed)
        return single(self.discriminator(to_signed(pictures), edge_maps))

    def judge(
        self, fake: Tensor, fake_maps: Tensor, real: Tensor, real_maps: Tensor, *, seed: int
    ) -> Float[Tensor, ""]:
        """The generator's loss (eq. 7), whose gradients reach the painted pictures and not the discriminator."""
        self.discriminator.requires_grad_(False)
        try:
            fake_logits = self.logits(fake, fake_maps, seed=seed)
            if not self.config.relativistic:
                return generator_loss(fake_logits)
            return relativistic_loss(fake_logits, self.logits(real, real_maps, seed=seed + 1))
        finally:
            self.discriminator.requires_grad_(True)
