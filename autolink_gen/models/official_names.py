"""The names of our tensors in the authors' checkpoint."""


def official_names() -> dict[str, str]:
    """Our name of each tensor of the official checkpoint."""
    parts = {"decoder.alpha": "alpha", "decoder.skeleton_scalar": "raw_edge_weights"}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    def layer(theirs: str, ours: str, names: tuple[str, ...]) -> None:
        parts.update({f"{theirs}.{name}": f"{ours}.{name}" for name in names})

    def convolution(theirs: str, ours: str) -> None:
        layer(theirs, ours, ("weight", "bias"))

    for block in range(4):
        theirs, ours = f"encoder.detector.conv.{block}", f"detector.layers.{block}"
        convolution(f"{theirs}.conv_res.0", f"{ours}.shortcut.0")
        layer(f"{theirs}.conv_res.2", f"{ours}.shortcut.1", norm)
        convolution(f"{theirs}.net.0", f"{ours}.body.0")
        layer(f"{theirs}.net.2", f"{ours}.body.1", norm)
        convolution(f"{theirs}.net.4", f"{ours}.body.3")
        layer(f"{theirs}.net.5", f"{ours}.body.4", norm)
    for block in (4, 5):
        convolution(f"encoder.detector.conv.{block}.net.1", f"detector.layers.{block}.1")
        layer(f"encoder.detector.conv.{block}.net.2", f"detector.layers.{block}.2", norm)
    convolution("encoder.detector.conv.6", "detector.layers.6")
    convolution("decoder.down0.0", "decoder.stem.0")
    for block in range(4):
        for theirs, ours, first in (
            (f"down{block + 1}", f"downs.{block}", 0),
            (f"up{block + 1}", f"ups.{block}", 1),
        ):
            for place in (first, first + 3):
                convolution(f"decoder.{theirs}.net.{place}", f"decoder.{ours}.{place}")
                layer(f"decoder.{theirs}.net.{place + 1}", f"decoder.{ours}.{place + 1}", norm)
    convolution("decoder.conv", "decoder.head")
    return parts
