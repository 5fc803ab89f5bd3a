"""Write a graph as ONNX, then find keypoints with onnxruntime and numpy alone: `detect` below is all it takes.

The graph here is untrained; take a run of `autolink-gen learn-graph` to find anything.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def detect(detector: onnxruntime.InferenceSession, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (K, 2), (x, y) in pixels of the file, and how widely each heatmap spreads (K,)."""
    model = json.loads(detector.get_modelmeta().custom_metadata_map["autolink-gen"])
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    whole = np.array(image.size)
    side = {"crop": np.full(2, whole.min()), "pad": np.full(2, whole.max()), "stretch": whole}[model["fit"]]
    start = (whole - side) // 2
    square = Image.new("RGB", (int(side[0]), int(side[1])), (128, 128, 128))
    square.paste(image, (-int(start[0]), -int(start[1])))
    small = square.resize((model["input_size"],) * 2, Image.Resampling.BILINEAR)
    images = np.asarray(small, np.float32).transpose(2, 0, 1)[None] / 255
    keypoints, spread = detector.run(["keypoints", "spread"], {"images": images})
    places = (keypoints[0] + 1) / 2 * (model["image_size"] - 1)  # in pixels of the square, small
    return (places + 0.5) * side / model["image_size"] - 0.5 + start, spread[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help="run of a graph (default: an untrained one)")
    parser.add_argument("--steps", type=int, default=4, help="images to look at (default: 4)")
    parser.add_argument("--out", type=Path, default=Path("example-output"), help="folder to write to")
    options = parser.parse_args()

    folder = options.out / "detect-with-onnx"
    files = prepare(options.run, folder, count=options.steps)
    detector = onnxruntime.InferenceSession(folder / "detector.onnx", providers=["CPUExecutionProvider"])
    for file in files:
        keypoints, spread = detect(detector, file)
        surest = int(spread.argmin())
        print(f"{file}: keypoint {surest} is the surest, at {keypoints[surest].round(1)}")


def prepare(run: str | None, folder: Path, *, count: int) -> list[Path]:
    """Write the run, or an untrained graph, as ONNX files, and puppets to look at: this is what needs PyTorch."""
    from autolink_gen.checkpoints import save_model
    from autolink_gen.data.puppets.dataset import Puppets
    from autolink_gen.export.onnx_files import export_onnx
    from autolink_gen.models.autolink import AutoLink, AutoLinkConfig

    if run is None:
        run = str(folder / "model.safetensors")
        save_model(Path(run), AutoLink(AutoLinkConfig(num_keypoints=8, image_size=64, width=0.25)))
    print(export_onnx(run, out=folder, overwrite=True))
    puppets = Puppets(image_size=128, length=count, split="test")
    files = [folder / f"puppet-{number}.png" for number in range(count)]
    for number, file in enumerate(files):
        Image.fromarray(puppets[number].permute(1, 2, 0).numpy()).save(file)
    return files


if __name__ == "__main__":
    main()
