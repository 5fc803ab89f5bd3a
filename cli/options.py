"""Options and terminal output that commands share."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from autolink_gen import verbs
from autolink_gen.cli.commands import TYPED, FlagOrValue, section
from autolink_gen.cli.completion import data_sets, recipes, runs_of
from autolink_gen.cli.types import LoggerNames, RunName, Seed, SmoothingName
from autolink_gen.common.progress import is_hidden
from autolink_gen.common.streams import standard_output
from autolink_gen.common.text import printable
from autolink_gen.data.identity import public_text

if TYPE_CHECKING:
    from autolink_gen.clusters import ClusterChoice
    from autolink_gen.training.engine import Run
    from autolink_gen.training.launch import Launch
    from autolink_gen.training.painting_plans import PaintingPlan
    from autolink_gen.training.plans import Choices

Command = TypeVar("Command", bound=Callable[..., Any])
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
_DEFAULT_CLUSTERS = 2  # the object and the background
_DROP = "--drop-cluster"
_PATH = click.Path(path_type=Path)


overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
device_option = click.option("--device", metavar="DEVICE",
                             help="cpu, cuda, cuda:1 ... or mps. [default: cuda, if there is]")  # fmt: skip
graph_option = click.option("--graph", metavar="RUN", shell_complete=runs_of("graph"),
                            help="Graph run, by name or folder. "
                            "[default: the newest one on this data, else the newest]")  # fmt: skip


def smooth_option(option: Callable[..., Callable[[Command], Command]] = click.option) -> Callable[[Command], Command]:
    """``--smooth``, alone or with a way to smooth: the movement of videos."""
    kind = SmoothingName()
    return option("--smooth", cls=FlagOrValue, alone="one-euro", is_value=kind.is_one, type=kind,
                  metavar="[KIND]",
                  help="Smooth the keypoints of videos: one-euro, a filter that looks back and lags a little, or "
                  "median, over 5 frames around each, median:9 over 9. [default: none; without KIND one-euro]"
                  )  # fmt: skip


def model_option(kind: str) -> Callable[[Command], Command]:
    """``--model RUN``: a trained run of this kind, the newest where none is named."""
    return click.option("--model", "run", metavar="RUN", shell_complete=runs_of(kind),
                        help="Run, by name or folder, or its model.safetensors; "
                        "puppets: a small model of the embedded puppets, which needs no training. "
                        f"[default: the newest run in runs/{kind}]")  # fmt: skip


_data = section("Data and recipe")
_place = section("Run")
_length = section("Length")
_machine = section("Machine")
_DATA = _data("--data", shell_complete=data_sets,
                     help="A named data set, a folder of images or videos, shards (.tar), or several: A+B. "
                     "[default: the recipe's; puppets]")  # fmt: skip
_RUN = (
    _data("--data-root", type=_PATH, help="The folder where named data sets lie."),
    _data("--recipe", shell_complete=recipes,
          help="A recipe by name, or a YAML file. [default: puppets, gpu or cpu, as suits]"),
    _place("--name", type=RunName(), help="Name of the run. [default: made from the data and the model]"),
    _place("--out", type=_PATH, default=Path("runs"), show_default=True, help="Folder of all runs."),
    _data("--mirror/--no-mirror", default=None,
                 help="Mirror every second image; leave it off where left and right differ. [default: the recipe's]"),
    _place("--seed", type=Seed(), help="Seed of weights, masks and the order of images."),
    _length("--steps", type=int, help="Training steps."),
    _length("--batch-size", type=int, help="Images a step, or pairs of frames, over all devices."),
    _length("--max-minutes", type=float, help="Stop training after so many minutes, saved; repeat to go on."),
    _machine("--devices", default="auto", show_default=True,
                 help="Their number, cpu, cuda (all GPUs), cuda:1 (one), mps, or auto: all GPUs by CUDA, else the "
                 "CPU."),
    _machine("--nodes", type=int, default=1, show_default=True, help="Number of machines."),
    _machine("--precision", type=click.Choice(["auto", "32-true", "bf16-mixed", "16-mixed"]), default=None,
                 help="Floating-point precision; auto: bf16-mixed where the processor has it. "
                 "[default: the recipe's]"),
    _machine("--compile/--no-compile", default=None,
                 help="Compile the networks: a first step of a minute or so, then quicker ones; on a CPU, minutes "
                 "for nothing. [default: on CUDA]"),
    _place("--resume/--fresh", default=True, show_default=True,
                 help="Go on with the run of that name if there is one, or move it aside and start anew."),
    _data("--set", "settings", multiple=True, metavar="NAME=VALUE",
                 help="Change one setting, as in optimiser.lr=1e-3."),
    _place("--log", "loggers", type=LoggerNames(), metavar="NAME,NAME",
           help="Services that get the run's numbers and pictures: tensorboard, wandb, mlflow, trackio, or none. "
           "[default: tensorboard, where it is installed]"),
    _place("--dry-run", is_flag=True, help="Print the resolved configuration and stop."),
)  # fmt: skip


@dataclass(frozen=True)
class TrainingOptions:
    """The options of all training commands, as typed."""

    data: str | None
    data_root: Path | None
    recipe: str | None
    name: str | None
    out: Path
    mirror: bool | None
    seed: int | None
    steps: int | None
    batch_size: int | None
    max_minutes: float | None
    devices: str
    nodes: int
    precision: Precision | None
    compile: bool | None
    resume: bool
    settings: tuple[str, ...]
    loggers: tuple[str, ...] | None
    dry_run: bool

    def choices(self) -> "Choices":
        """What is to be trained; BadParameter for a folder whose name is not UTF-8."""
        for hint, value in (("--data", self.data), ("--data-root", self.data_root)):
            try:
                str(value).encode()
            except UnicodeEncodeError as error:
                raise click.BadParameter(f"{value} is no UTF-8; rename that folder", param_hint=hint) from error
        return verbs.Choices(
            data=self.data,
            data_root=self.data_root,
            recipe=self.recipe,
            name=self.name,
            out=self.out,
            mirror=self.mirror,
            seed=self.seed,
            steps=self.steps,
            batch_size=self.batch_size,
            settings=verbs.parse_overrides(self.settings),
            devices=self.devices,
        )

    def launch(self, folder: Path) -> "Launch":
        """Where and on what to train."""
        return verbs.Launch(
            folder=folder,
            devices=self.devices,
            nodes=self.nodes,
            precision=self.precision,
            max_minutes=self.max_minutes,
            fresh=not self.resume,
            compile=self.compile,
            command=click.get_current_context().meta.get(TYPED, ""),
            loggers=self.loggers,
        )


def training_options(*, data: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Pass the training options to a command as one argument, ``training``.

    ``data``: ``--data`` is one of them.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def wrapper(**values: Any) -> None:
            choices = {item.name: values.pop(item.name, None) for item in fields(TrainingOptions)}
            command(training=TrainingOptions(**choices), **values)

        return _with(wrapper, _DATA, *_RUN) if data else _with(wrapper, *_RUN)

    return add


def drop_options(command: Callable[..., None]) -> Callable[..., None]:
    """Pass ``--clusters`` and ``--drop-cluster`` to a command as one argument, ``dropped``.

    See AutoLink, Figure 7c.
    """

    @wraps(command)
    def wrapper(*, clusters: int | None, dropped_clusters: tuple[int, ...], **values: Any) -> None:
        command(dropped=_cluster_choice(clusters, dropped_clusters), **values)

    return _with(
        wrapper,
        click.option("--clusters", type=click.IntRange(1), metavar="N",
                     help=f"How many clusters {_DROP} counts. [default: {_DEFAULT_CLUSTERS}]"),
        click.option(_DROP, "dropped_clusters", type=int, multiple=True, metavar="C",
                     help="Leave the keypoints of cluster C out, as view-graph --clusters numbers them; "
                     "repeat it for several."),
    )  # fmt: skip


def study_options(command: Command) -> Command:
    """Add ``--seeds`` and ``--storage`` to a command."""
    seeds = click.option("--seeds", "num_seeds", type=click.IntRange(1, 100), default=1, show_default=True,
                         help="Train each so many times, with a seed each.")  # fmt: skip
    storage = click.option("--storage", metavar="URL", help="Database by which processes share the work, as Optuna "
                           "takes it. [default: a file of SQLite in the folder]")  # fmt: skip
    return seeds(storage(command))


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _cluster_choice(clusters: int | None, dropped: tuple[int, ...]) -> "ClusterChoice | None":
    """The clusters to drop, None: none; UsageError for ``--clusters`` alone."""
    if dropped:
        return verbs.ClusterChoice(clusters or _DEFAULT_CLUSTERS, tuple(sorted(set(dropped))))
    if clusters is not None:
        raise click.UsageError(
            f"--clusters {clusters} leaves nothing out by itself: name a cluster with {_DROP}, or look at them with "
            f"autolink-gen view-graph --clusters {clusters}"
        )
    return None


@contextmanager
def naming_option(option: str, *errors: type[Exception]) -> Iterator[None]:
    """Report errors of a call as errors of the option that gave its argument."""
    try:
        yield
    except errors as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def echo(*lines: str, err: bool = False) -> None:
    """Print lines with control characters escaped, as file names may hold some.

    Addresses are shown without login and query. ``err`` prints to the standard error, as does a command whose file goes
    to the standard output.
    """
    click.echo("\n".join(printable(public_text(line)) for line in lines), err=err or _output_is_a_file())


def note(*lines: str, err: bool = False) -> None:
    """Print what goes with an answer, as where it was written, unless --quiet is given."""
    if lines and not is_hidden():
        echo(*lines, err=err)


def _output_is_a_file() -> bool:
    """Whether the running command writes a file to the standard output ("-")."""
    context = click.get_current_context(silent=True)
    for option in context.command.params if context else ():
        if isinstance(option, click.Option) and isinstance(option.type, click.Path) and option.name:
            value = context.params.get(option.name) if context else None
            if isinstance(value, Path) and standard_output(value):
                return True
    return False


def pick_device(name: str | None) -> str:
    """The named device, else CUDA if there is one; BadParameter if it cannot be used."""
    with naming_option("--device", ValueError):
        return verbs.chosen_device(name)


def say(*lines: str) -> None:
    """Note lines once, however many processes train."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    rank_zero_only(note)(*lines)


def train_and_report(
    train: "Callable[[Launch], Run]",
    launch: "Launch",
    *,
    steps: int,
    files: Mapping[str, str],
    then: str,
    score: "Callable[[Run], None]" = lambda run: None,
) -> None:
    """Train, then print the end, the ``files`` in the run's folder, and the next command."""
    run = train(replace(launch, announce=lambda step: say(*verbs.resuming(step, steps=steps))))
    if not run.fabric.is_global_zero:
        return
    for line in verbs.ending(run):
        echo(line)
    number = signal.Signals.__members__.get(run.stopped_by or "")
    if number is None:  # whoever sends a signal does not wait for long
        score(run)
    verb = "wrote" if run.progress.step > run.first_step else "kept"
    for name, text in files.items():
        if (launch.folder / name).is_file():
            note(f"{verb} {launch.folder / name}: {text}")
    if then:
        note(f"next: {then}")
    if number is not None:  # as a shell has it, so that a script does not go on
        click.get_current_context().exit(128 + number)


def train_plan(
    make: "Callable[[], PaintingPlan[Any]]",
    training: TrainingOptions,
    *,
    files: Mapping[str, str],
    then: Callable[[Path], str],
) -> None:
    """Train as a plan on a graph says, or print the plan; ``then`` gives the next command."""
    with naming_option(_DROP, verbs.ClusterError):
        plan = make()
    if training.dry_run:
        echo(*(f"# {note}" for note in plan.notes), *plan.describe(training.launch(plan.folder)))
        return
    say(*plan.notes, f"recipe: {plan.recipe}", f"run: {plan.folder}")
    train_and_report(
        plan.train,
        training.launch(plan.folder),
        steps=plan.config.training.steps,
        files={"model.safetensors": "the weights to use, the graph's among them", **files},
        then=then(plan.folder),
    )


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Exit with a shell's code if a signal stopped the work, so that scripts stop too."""
    try:
        yield
    except verbs.WorkStoppedError as stopped:
        click.get_current_context().exit(128 + signal.Signals[str(stopped)])
