"""What the shell offers for the values of options: runs, recipes, data sets, and files beside them."""

from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from autolink_gen import verbs

Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_KINDS = {"train-gan": "gan", "train-transfer": "transfer"}  # of what other commands train: graphs


def runs_of(*kinds: str) -> Completion:
    """Names of the runs in ``runs/KIND``, of the package's model, and files."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        folders = [Path("runs") / kind for kind in kinds]
        names = {path.name for folder in folders for path in folder.glob("*") if _holds_a_run(path)}
        return _offered({*names, verbs.SHIPPED}, incomplete, beside="file")

    return complete


def _holds_a_run(folder: Path) -> bool:
    """Whether it is a run, begun or done; not, say, what a command wrote of the package's model."""
    return any((folder / name).is_file() for name in ("config.yaml", "model.safetensors"))


def recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the command's recipes, and files."""
    kind = _KINDS.get(ctx.command.name or "", "graph")
    return _offered(verbs.recipe_names(kind), incomplete, beside="file")


def data_sets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the data sets, and folders; after a ``+`` those of one more set."""
    before, plus, last = incomplete.rpartition("+")
    names = [f"{before}{plus}{name}" for name in verbs.SETS if name.startswith(last)]
    return _offered(names, incomplete, beside="dir")


def _offered(names: "set[str] | list[str]", incomplete: str, *, beside: str) -> list[CompletionItem]:
    """Files or folders, which shells want first, then the names that begin so; none that a shell would take apart."""
    fitting = sorted(name for name in names if name.startswith(incomplete))
    plain = [CompletionItem(name) for name in fitting if name.isprintable() and not set(name) & set(" ,")]
    return [CompletionItem(incomplete, type=beside), *plain]
