"""Parameters as Optuna has them: distributions of what is fixed and of what is searched."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study
from optuna.trial import Trial

from autolink_gen.studies.optuna_storage import tpe
from autolink_gen.studies.search import Choice, Range, Search, Value

Spaces = Mapping[str, BaseDistribution]


def spaces_of(points: Sequence[Mapping[str, Value]]) -> Spaces:
    """The distribution of each parameter of these points: a choice among the values that it takes in them."""
    values_of: dict[str, list[Value]] = {}
    for point in points:
        for name, value in point.items():
            values_of.setdefault(name, []).append(value)
    return {name: CategoricalDistribution(_distinct(values)) for name, values in values_of.items()}


def _distinct(values: Sequence[Value]) -> list[Value]:
    """Each value once, in order; 1, 1.0 and True are three."""
    return [value for _, value in dict.fromkeys((type(value), value) for value in values)]


def space_mark(spaces: Spaces, search: Search | None) -> str:
    """A mark for the name of a study: Optuna refuses two choices of one name in a study."""
    text = repr(sorted((name, repr(space)) for name, space in spaces.items()))
    if search is not None:
        text += repr(sorted((name, repr(axis)) for name, axis in search.axes.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def suggest(study: Study, trial: Trial, search: Search, *, number: int) -> dict[str, Value]:
    """Draw the parameters of a trial: a function of the seed, the trial's ``number``, and of what is done so far."""
    study.sampler = tpe(zlib.crc32(f"{search.seed} {number}".encode()))
    return {name: _draw(trial, name, axis) for name, axis in search.axes.items()}


def _draw(trial: Trial, name: str, axis: Range | Choice) -> Value:
    if isinstance(axis, Choice):
        return trial.suggest_categorical(name, list(axis.values))
    if axis.is_whole:
        return trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.is_log)
    return trial.suggest_float(name, axis.low, axis.high, log=axis.is_log)
