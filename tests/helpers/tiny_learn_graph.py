"""A tiny `autolink-gen learn-graph` for tests of the command."""

from click.testing import CliRunner, Result

from autolink_gen.cli.main import cli

SETTINGS = (
    "model.image_size=64",
    "model.num_keypoints=3",
    "model.width=0.05",
    "model.sigma2=1e-2",
    "perceptual.features=random",
    "perceptual.resize=null",
    "training.batch_size=2",
    "training.log_every=1",
)


def learn_graph(*arguments: object) -> Result:
    """Run the command with the settings of a tiny model first."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return CliRunner().invoke(cli, ["learn-graph", "--recipe", "paper", *settings, *map(str, arguments)])
