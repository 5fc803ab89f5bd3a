"""A tiny `autolink-gen learn-graph` for tests of the command, and what its errors look like."""

from click.testing import CliRunner, Result

from autolink_gen.cli.main import cli

SETTINGS = (
    "model.image_size=64",
    "model.num_keypoints=3",
    "model.width=0.05",
    "model.sigma2=1e-2",
    "loss.features=random",
    "loss.resize=null",
    "training.batch_size=2",
    "training.log_every=1",
)


def learn_graph(*arguments: object) -> Result:
    """Run the command with the settings of a tiny model first."""
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return CliRunner().invoke(cli, ["learn-graph", "--recipe", "paper", *settings, *map(str, arguments)])


def assert_one_line(result: Result, message: str) -> None:
    """One error, whose message holds this, and it is the last line."""
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert len(errors) == 1
    assert message in errors[0]
    assert result.output.splitlines()[-1] == errors[0]
