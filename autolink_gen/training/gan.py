"""Training loop 2: a GAN that paints on the edge maps of a learned graph (AutoLink, Appendix C.1)."""

from contextlib import closing

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from autolink_gen.common.devices import to_device
from autolink_gen.config import GanRunConfig, PoseConfig
from autolink_gen.data.sources.base import Source
from autolink_gen.models.autolink import AutoLink
from autolink_gen.models.generator import Generator
from autolink_gen.ops.divergence import check_found
from autolink_gen.ops.ranges import from_signed
from autolink_gen.training.adversary import Adversary, make_adversary
from autolink_gen.training.augment import RandomMove
from autolink_gen.training.batches import flip_some, open_images, step_generator, to_float
from autolink_gen.training.compiling import compiled
from autolink_gen.training.engine import Run
from autolink_gen.training.gan_samples import GanSamples, Quality
from autolink_gen.training.graph_copy import check_size
from autolink_gen.training.launch import Launch, start_fabric
from autolink_gen.training.opening import open_run
from autolink_gen.training.optimisers import make_optimiser, set_learning_rate
from autolink_gen.training.posed_images import PosedImages, Purpose
from autolink_gen.training.run_data import source_of
from autolink_gen.training.structure import StructureTerm

MIN_IMAGES = 8


def train_gan(config: GanRunConfig, graph: AutoLink, launch: Launch) -> Run:
    """Train, or go on training, the run in ``launch.folder``; returns it with what stopped it, if anything did.

    ``graph`` stays as it is, and the run keeps a copy. Raises ValueError where its size is not the images', where
    the folder's run has another graph, for fewer than eight images, and where the graph finds nothing in the first.
    """
    check_size(config.model.image_size, graph)
    fabric = start_fabric(launch, config.training)
    source = source_of(config.data)
    dataset, held_out = _open(source, config, graph), None
    if config.progress.pictures and fabric.is_global_zero:
        held_out = source.held_out(size=config.model.image_size, fit=graph.config.fit)
    with open_run(fabric, launch, config=config, source=source, graph=graph) as saved:
        graph = graph.to(fabric.device).requires_grad_(False).prepare_for_inference()
        generator = Generator(config.model).to(memory_format=torch.channels_last)
        mapping_lr = config.optimiser.mapping_lr
        own_rates = [(list(generator.mapping.parameters()), mapping_lr)] if mapping_lr else []
        adversary = make_adversary(config.model, config.adversarial)
        first = torch.stack([dataset[index] for index in range(MIN_IMAGES)]).to(fabric.device)
        check_found(graph.detect(first), name=config.graph.run or "the graph")
        samples = GanSamples(dataset, graph, config)
        quality = Quality(dataset, held_out, samples, config, folder=launch.folder)
        run = Run(
            fabric,
            launch,
            config.training,
            model=generator,
            optimiser=make_optimiser(generator, config.optimiser, own_rates=own_rates),
            critic=(adversary, make_optimiser(adversary, config.optimiser, own_rates=[])),
            measure=quality.measure if config.progress.pictures else None,
            on_save=samples.refresh,
            saved=saved,
        )
        if fabric.is_global_zero and config.progress.pictures:
            quality.begin(run)
        parts = {
            "the generator": generator,
            "the discriminator": adversary.discriminator,
            "the graph's detector": graph.acting(graph.detector),
        }
        with closing(run), compiled(run, parts):
            _loop(run, config, graph, dataset)
    return run


def _loop(run: Run, config: GanRunConfig, graph: AutoLink, dataset: Dataset[Tensor]) -> None:
    fabric, length, size = run.fabric, config.training, config.model.image_size
    adversary = run.critic_network
    assert isinstance(adversary, Adversary)
    structure_of, move = StructureTerm(graph), RandomMove()
    batches = run.batches(dataset, workers=config.data.workers)
    for step in run.steps():
        draw = step_generator(length.seed, step, rank=fabric.global_rank)
        images = flip_some(to_float(next(batches), device=fabric.device), probability=config.data.flip, generator=draw)
        images = move_some(images, move, share=config.pose.moved_share, generator=draw)
        keypoints = graph.detect_unchecked(images)
        poses = other_poses(keypoints, config.pose, generator=draw)
        real, fake_map = PosedImages(images, keypoints, graph.edge_map(keypoints, size)), graph.edge_map(poses, size)
        z = to_device(torch.randn(len(images), config.model.style_size, generator=draw), fabric.device)
        seed = int(torch.randint(2**62, (), generator=draw))
        for optimiser in (run.optimiser, run.critic_optimiser):
            rate = set_learning_rate(optimiser, config.optimiser, step=step, steps=length.steps)
        fake = PosedImages(from_signed(run.model(fake_map, z).float()), poses, fake_map)
        losses = run.critic(real=real, fake=fake, penalise=step % config.adversarial.penalty_every == 0, seed=seed)
        logits = {"real_logit": losses.real_logit, "fake_logit": losses.fake_logit}
        penalty = None if step % config.adversarial.penalty_every else losses.penalty
        clip_norm = config.optimiser.clip_norm
        run.update_critic(losses.loss.float(), penalty=penalty, clip_norm=clip_norm, **logits)
        with fabric.autocast():
            loss = adversary.generator_loss(fake=fake, real=real, seed=seed).float()
        metrics: dict[str, Tensor] = {}
        if config.adversarial.structure:
            structure = structure_of(fake=fake, real=real, seed=seed + Purpose.STRUCTURE)
            loss, metrics = loss + config.adversarial.structure * structure.loss, structure.metrics
        run.update(loss, clip_norm=clip_norm, learning_rate=config.optimiser.lr * rate, **metrics)


def move_some(
    images: Float[Tensor, "B 3 S S"], move: RandomMove, *, share: float, generator: torch.Generator
) -> Float[Tensor, "B 3 S S"]:
    """Turn, scale and shift a share of the images a little."""
    if share == 0:
        return images
    is_moved = torch.rand(len(images), 1, 1, 1, generator=generator) < share
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.where(to_device(is_moved, images.device), move(images, seed=seed).images, images)


def other_poses(
    keypoints: Float[Tensor, "B K 2"], config: PoseConfig, *, generator: torch.Generator
) -> Float[Tensor, "B K 2"]:
    """For each image the pose of another in the batch; some are mixed with a third pose, some jittered."""
    batch = len(keypoints)
    shift = int(torch.randint(1, max(2, batch), (), generator=generator))
    poses, third = keypoints.roll(shift, 0), keypoints.roll(2 * shift + 1, 0)
    chance, way, noise = (
        torch.rand(2, batch, 1, 1, generator=generator),
        torch.rand(batch, 1, 1, generator=generator),
        torch.randn(keypoints.shape, generator=generator),
    )
    is_mixed = to_device(chance[0] < config.mix_share, poses.device)
    is_jittered = to_device(chance[1] < config.jitter_share, poses.device)
    mixed = torch.lerp(poses, third, to_device(way, poses.device).to(poses.dtype))
    poses = torch.where(is_mixed, mixed, poses)
    jittered = poses + config.jitter * to_device(noise, poses.device).to(poses.dtype)
    return torch.where(is_jittered, jittered, poses)


def _open(source: Source, config: GanRunConfig, graph: AutoLink) -> Dataset[Tensor]:
    size, seed = config.model.image_size, config.training.seed
    dataset = open_images(source, hold_out=config.data.hold_out, size=size, fit=graph.config.fit, seed=seed)
    count = len(dataset)  # type: ignore[arg-type]
    if count < MIN_IMAGES:
        raise ValueError(
            f"{count} images in {config.data.name} are too few to train a GAN on: give at least {MIN_IMAGES}; "
            f"some thousand are good, and below one thousand --augment helps"
        )
    return dataset
