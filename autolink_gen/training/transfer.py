"""Training loop 3: pose transfer, one frame's pose with another's appearance (AutoLink, Appendix C.2)."""

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from autolink_gen.config import TransferRunConfig
from autolink_gen.data.sources.base import Source
from autolink_gen.data.video.random_frames import RandomFrames
from autolink_gen.inference.transfer import Transfer
from autolink_gen.losses.perceptual import PerceptualLoss
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import GanConfig
from autolink_gen.models.graph_analysis import cluster_labels
from autolink_gen.models.transfer import TransferNetwork
from autolink_gen.ops.divergence import check_found
from autolink_gen.ops.ranges import from_signed, to_signed
from autolink_gen.training.adversary import Adversary, make_adversary
from autolink_gen.training.augment import VaryPairs
from autolink_gen.training.batches import flip_some, step_generator, to_float
from autolink_gen.training.compiling import compiled
from autolink_gen.training.engine import Run
from autolink_gen.training.graph_copy import check_size
from autolink_gen.training.graph_loss import make_loss, parts_of
from autolink_gen.training.launch import Launch, start_fabric
from autolink_gen.training.opening import open_run
from autolink_gen.training.optimisers import make_optimiser, set_learning_rate
from autolink_gen.training.posed_images import PosedImages, Purpose
from autolink_gen.training.run_data import source_of
from autolink_gen.training.structure import StructureTerm
from autolink_gen.training.transfer_samples import ReconstructionCurve, TransferSamples, poses_of

log = logging.getLogger(__name__)


def train_transfer(config: TransferRunConfig, graph: AutoLink, launch: Launch) -> Run:
    """Train, or go on training, the run in ``launch.folder``; returns it with what stopped it, if anything did.

    ``graph`` stays as it is, and the run keeps a copy. Raises ValueError where its size is not the frames', where
    the folder's run has another graph, where no clip can be read, and where the graph finds nothing in a frame.
    """
    check_size(config.model.image_size, graph)
    fabric = start_fabric(launch, config.training)
    source = source_of(config.data)
    pairs, held_out = (_open_pairs(source, config, graph, split=split) for split in ("train", "test"))
    pairs[0]  # before anything is made of them
    if fabric.is_global_zero and not source.holds_clips_out():
        log.warning("no clips are held out, as a folder with train and test in it would: l1.png is of clips seen")
    with open_run(fabric, launch, config=config, source=source, graph=graph) as saved:
        graph = graph.to(fabric.device).requires_grad_(False).prepare_for_inference()
        network = TransferNetwork(config.model).to(memory_format=torch.channels_last)
        labels = cluster_labels(graph.edge_weights, config.model.clusters).to(fabric.device)
        poses = poses_of(pairs, graph)
        check_found(poses, name=config.graph.run or "the graph")
        model = Transfer(graph, network, labels, poses)
        samples = TransferSamples(pairs, held_out, model, config)
        reconstruction = ReconstructionCurve(held_out, samples, config, folder=launch.folder)
        run = Run(
            fabric,
            launch,
            config.training,
            model=network,
            optimiser=make_optimiser(network, config.optimiser, own_rates=[]),
            critic=_adversary(config),
            measure=reconstruction.measure if config.progress.pictures else None,
            on_save=samples.refresh,
            saved=saved,
        )
        if fabric.is_global_zero and config.progress.pictures:
            reconstruction.begin(run)
        losses = _Losses(config).to(fabric.device)
        parts: dict[str, Callable[..., Any]] = {
            "the network": network,
            "the graph's detector": graph.acting(graph.detector),
        }
        if isinstance(run.critic_network, Adversary):
            parts["the discriminator"] = run.critic_network.discriminator
        if losses.perceptual is not None:
            parts |= parts_of(losses.perceptual)
        with closing(run), compiled(run, parts):
            _loop(run, config, model, pairs, losses)
    return run


def _loop(run: Run, config: TransferRunConfig, model: Transfer, pairs: RandomFrames, losses: "_Losses") -> None:
    fabric, length, graph = run.fabric, config.training, model.graph
    structure_of, vary = StructureTerm(graph), VaryPairs(config.data.varied)
    batches = run.batches(pairs, workers=config.data.workers)
    for step in run.steps():
        run.model.train()  # saves look at it in eval mode
        draw = step_generator(length.seed, step, rank=fabric.global_rank)
        frames = flip_some(next(batches), probability=config.data.flip, generator=draw)
        varied = vary(to_float(frames.flatten(0, 1), device=fabric.device).unflatten(0, (-1, 2)), generator=draw)
        both = varied.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        keypoints = graph.detect_unchecked(both)
        target, source = PosedImages(both, keypoints, model.edge_maps(keypoints)).halves()
        for optimiser in (run.optimiser, run.critic_optimiser):
            if optimiser is not None:
                rate = set_learning_rate(optimiser, config.optimiser, step=step, steps=length.steps)
        painted = run.model(
            target.edge_map,
            target.keypoints,
            source=to_signed(source.images),
            source_edge_maps=source.edge_map,
            source_keypoints=source.keypoints,
            strengths=model.strengths,
        )
        fake = target._replace(images=from_signed(painted.float()))
        parts = losses(fake.images, target.images)
        seed = int(torch.randint(2**62, (), generator=draw))
        if config.adversarial.structure:
            structure = structure_of(fake=fake, real=target, seed=seed + Purpose.STRUCTURE)
            parts["structure"] = config.adversarial.structure * structure.loss
        if run.critic is not None:
            parts["adversarial"] = _compete(run, config, real=target, fake=fake, seed=seed)
        run.update(
            torch.stack(list(parts.values())).sum(),
            clip_norm=config.optimiser.clip_norm,
            learning_rate=config.optimiser.lr * rate,
            **parts,
        )


def _compete(
    run: Run, config: TransferRunConfig, *, real: PosedImages, fake: PosedImages, seed: int
) -> Float[Tensor, ""]:
    """A step of the discriminator; returns what the network loses to it, weighted."""
    edge_map = real.edge_map.amax(1, keepdim=True)
    real, fake = (posed._replace(edge_map=edge_map) for posed in (real, fake))
    is_penalised = run.progress.step % config.adversarial.penalty_every == 0
    adversary = run.critic_network
    assert isinstance(adversary, Adversary)
    losses = run.critic(real=real, fake=fake, penalise=is_penalised, seed=seed)
    run.update_critic(
        losses.loss.float(),
        penalty=losses.penalty if is_penalised else None,
        clip_norm=config.optimiser.clip_norm,
        real_logit=losses.real_logit,
        fake_logit=losses.fake_logit,
    )
    with run.fabric.autocast():
        loss = adversary.generator_loss(fake=fake, real=real, seed=seed)
    return config.weights.adversarial * loss.float()


class _Losses(nn.Module):
    """What a painted frame loses against the true one, weighted; nothing is computed that counts for nothing."""

    def __init__(self, config: TransferRunConfig) -> None:
        super().__init__()
        self.weights = config.weights
        self.perceptual: PerceptualLoss | None = make_loss(config.perceptual) if config.weights.perceptual else None

    def forward(self, painted: Float[Tensor, "B 3 S S"], target: Float[Tensor, "B 3 S S"]) -> dict[str, Tensor]:
        parts = {}
        if self.weights.squared:
            parts["squared"] = self.weights.squared * (2 * (painted - target)).square().mean()  # as of [-1, 1]
        if self.perceptual is not None:
            parts["perceptual"] = self.weights.perceptual * self.perceptual(painted, target)
        return parts


def _adversary(config: TransferRunConfig) -> tuple[nn.Module, torch.optim.Optimizer] | None:
    if not config.weights.adversarial:
        return None
    networks = GanConfig(image_size=config.model.image_size, width=config.weights.discriminator_width)
    adversary = make_adversary(networks, config.adversarial)
    return adversary, make_optimiser(adversary, config.optimiser, own_rates=[])


def _open_pairs(source: Source, config: TransferRunConfig, graph: AutoLink, *, split: str) -> RandomFrames:
    """Pairs of frames of the source's clips."""
    size, seed = config.model.image_size, config.training.seed
    clips = source.clips(split, size=size, seed=seed)
    return RandomFrames(clips, image_size=size, frames=2, fit=graph.config.fit, seed=seed)
