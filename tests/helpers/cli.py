"""The command line, run inside the tests' own process."""

from click.testing import CliRunner, Result

from autolink_gen.cli.main import cli


def run_cli(*arguments: object, expect: int | None = 0) -> Result:
    """Run `autolink-gen` with these arguments; it ends with this exit code, or with any where None is expected."""
    __tracebackhide__ = True
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if expect is not None:
        assert result.exit_code == expect, f"exit code {result.exit_code}, not {expect}:\n{result.output}"
        assert "Traceback" not in result.output, result.output
    return result
