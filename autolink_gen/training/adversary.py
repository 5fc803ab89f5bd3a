"""The discriminator with its loss, against which a generator is trained (AutoLink eq. 7-9)."""

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
from autolink_gen.training.posed_images import PosedImages, Purpose


class DiscriminatorLosses(NamedTuple):
    """The discriminator's loss, and parts of it for the logs."""

    loss: Float[Tensor, ""]
    penalty: Float[Tensor, ""]
    real_logit: Float[Tensor, ""]
    fake_logit: Float[Tensor, ""]


def make_adversary(networks: GanConfig, config: AdversarialConfig) -> "Adversary":
    """A discriminator with its loss, gamma being the image size's own unless the configuration has one."""
    gamma = default_gamma(networks.image_size) if config.gamma is None else config.gamma
    return Adversary(Discriminator(networks), config, gamma=gamma).to(memory_format=torch.channels_last)


class Adversary(nn.Module):
    """The discriminator with its loss; eq. 8 and eq. 9 share one forward and one backward pass.

    Spread over processes, gradients are averaged in that one backward; a penalty with a backward of its own would
    be left out.
    """

    def __init__(self, discriminator: Discriminator, config: AdversarialConfig, *, gamma: float) -> None:
        super().__init__()
        self.discriminator, self.config, self.gamma = discriminator, config, gamma
        self.augment = Augment() if config.augment else None

    def forward(self, *, real: PosedImages, fake: PosedImages, penalise: bool, seed: int = 0) -> DiscriminatorLosses:
        """The discriminator's losses on real and painted images; ``penalise`` adds the gradient penalty."""
        painted = fake.images
        if swapped := round(self.config.mismatched * len(painted)):
            painted = torch.cat([real.images[:swapped], painted[swapped:]])  # the maps are those of other images
        real_images = single(real.images.detach()).requires_grad_(penalise)
        fake_images = single(painted.detach()).requires_grad_(penalise and self.config.relativistic)
        seeds = seed + Purpose.AUGMENT_REAL, seed + Purpose.AUGMENT_FAKE
        real_logits = self.logits(real_images, real.edge_map, seed=seeds[0], twice=penalise)
        fake_logits = self.logits(fake_images, fake.edge_map, seed=seeds[1], twice=penalise)
        relativistic = self.config.relativistic
        loss = (relativistic_loss if relativistic else discriminator_loss)(real_logits, fake_logits)
        penalty = loss.new_zeros(())
        if penalise:
            penalty = gradient_penalty(real_logits, real_images)
            if relativistic:
                penalty = penalty + gradient_penalty(fake_logits, fake_images)
            penalty = penalty / 4  # gamma is meant for images in [-1, 1], whose gradients are half as long
            loss = loss + self.gamma / 2 * self.config.penalty_every * penalty
        return DiscriminatorLosses(loss, penalty, real_logits.mean(), fake_logits.mean())

    def logits(self, images: Tensor, edge_map: Tensor, *, seed: int, twice: bool = False) -> Float[Tensor, " B"]:
        """The discriminator's logits, of augmented images where the configuration asks for it.

        ``twice``: gradients of their gradients are to be taken, which compiled networks do not have.
        """
        if self.augment is not None:
            images, edge_map = self.augment(images, edge_map, seed=seed)
        discriminate = self.discriminator.forward if twice else self.discriminator
        return single(discriminate(to_signed(images), edge_map))

    def generator_loss(self, *, fake: PosedImages, real: PosedImages, seed: int) -> Float[Tensor, ""]:
        """The generator's loss (eq. 7), whose gradients reach the painted images and not the discriminator."""
        self.discriminator.requires_grad_(False)
        try:
            fake_seed, real_seed = seed + Purpose.AUGMENT_FAKE_FOR_GENERATOR, seed + Purpose.AUGMENT_REAL_FOR_GENERATOR
            fake_logits = self.logits(fake.images, fake.edge_map, seed=fake_seed)
            if not self.config.relativistic:
                return generator_loss(fake_logits)
            return relativistic_loss(fake_logits, self.logits(real.images, real.edge_map, seed=real_seed))
        finally:
            self.discriminator.requires_grad_(True)
