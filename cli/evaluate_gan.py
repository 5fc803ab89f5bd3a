"""``autolink-gen evaluate --gan``: a GAN's pictures beside real ones, and what was asked for."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autolink_gen.cli.evaluation_files import EvaluationFiles
from autolink_gen.cli.options import echo, pick_device
from autolink_gen.cli.shared import evaluated_data
from autolink_gen.common.progress import progress_bar
from autolink_gen.data.identity import public_data

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Dataset

    from autolink_gen.evaluation.gan import GanReport
    from autolink_gen.inference.generate import Gan


def evaluate_gan_run(
    run: str, *, options: dict[str, Any], json_file: Path | None, picture: Path | None, device: str | None
) -> None:
    """Score a GAN run on held-out pictures, print and write the scores and a grid."""
    from autolink_gen.checkpoints import load_graph_model
    from autolink_gen.clusters import without_text
    from autolink_gen.common.files import write_picture, write_text_atomically
    from autolink_gen.evaluation.fid import inception_features, vgg16_features
    from autolink_gen.evaluation.gan import evaluate_gan
    from autolink_gen.inference.generate import load_gan
    from autolink_gen.pretrained.features import load_lpips
    from autolink_gen.runs import RunFolder

    path = RunFolder.find(run, kind="gan").path
    endings, given = {"json": ".json", "picture": ".png"}, {"json": json_file, "picture": picture}
    files = EvaluationFiles(path, "gan", endings=endings, given=given, options=options)
    gan, witness = load_gan(path, device=pick_device(device)), None
    if options["witness"] is not None:
        witness = load_graph_model(RunFolder.find(options["witness"], kind="graph").path, device=pick_device(device))
    extractors = {"vgg16": vgg16_features()}
    if options["fid_weights"] is not None:
        extractors["inception"] = inception_features(options["fid_weights"])
    data, training, held_out = _data(path, gan, options)
    real = held_out if held_out is not None else training
    which = "held-out" if held_out is not None else "training"
    echo(f"model: {path}{without_text(gan.graph)}; {which} pictures of {data}")
    report = evaluate_gan(
        gan,
        real,
        others=training if held_out is not None else None,
        extractors=extractors,
        perceptual=load_lpips(),
        witness=witness,
        count=options["max_test"] or 500,
        progress=progress_bar,
    )
    for line in _lines(report):
        echo(line)
    scores, drawn = files.place("json"), files.place("picture")
    values = {"model": str(path), "data": public_data(data), **report.to_dict()}
    write_text_atomically(scores, json.dumps(values, indent=2) + "\n")
    echo(f"wrote {scores}: the scores")
    write_picture(drawn, _grid(gan, real))
    echo(f"wrote {drawn}: above real pictures with their graph, below a row a style on their poses")


def _data(path: Path, gan: "Gan", options: dict[str, Any]) -> tuple[str, "Dataset[Tensor]", "Dataset[Tensor] | None"]:
    """The name of the data, the training pictures and the held-out ones."""
    from autolink_gen.data.source import open_dataset, open_held_out

    data, root, settings = evaluated_data(path, options)
    common: dict[str, Any] = {
        "root": root,
        "image_size": gan.generator.config.image_size,
        "fit": gan.graph.config.fit,
        "classes": tuple(settings.get("classes", ())),
    }
    return data, open_dataset(data, **common), open_held_out(data, **common)


def _lines(report: "GanReport") -> list[str]:
    few = "; distances grow where there are fewer than 500" if report.num_pictures < 500 else ""
    lines = [f"{report.num_pictures} pictures, a style and a pose each{few}"]
    for name, value in report.distances.items():
        if not name.startswith("real_"):
            floor = report.distances.get(f"real_{name}")
            remark = f" (training pictures {floor:.4g})" if floor is not None else ""
            if value < 0:
                remark += "; below 0 is chance, no difference was found: more pictures tell more"
            lines.append(f"{name}: {value:.4g}{remark}")
    kept = {"structure": report.structure, "structure by the witness": report.witness}
    lines += [
        f"{name}: keypoints {score.percent:.2f} % of the width from those asked for, "
        f"{score.shuffled_percent:.2f} % from shuffled ones (ratio {score.ratio:.2f})"
        for name, score in kept.items()
        if score is not None
    ]
    return [
        *lines,
        f"style: LPIPS {report.style_same:.3f} between two poses in one style, {report.style_other:.3f} in two",
        f"diversity: LPIPS {report.diversity:.3f} between two styles on one pose",
    ]


def _grid(gan: "Gan", real: "Dataset[Tensor]") -> Any:
    from autolink_gen.evaluation.fid import spread_batches
    from autolink_gen.inference.generate import styles_on_poses
    from autolink_gen.inference.poses import seeded_styles

    pictures = next(spread_batches(real, count=8)).to(gan.edge_weights)
    return styles_on_poses(gan, pictures, seeded_styles(range(6), gan.style_size))
