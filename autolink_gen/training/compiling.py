"""Compiling what a run computes at every step: steps are quicker, after a first one that takes a minute or so."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from autolink_gen.common.files import reason_of

if TYPE_CHECKING:
    from autolink_gen.training.engine import Run

log = logging.getLogger(__name__)
_is_paused = ContextVar("_is_paused", default=False)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Within the block all is computed as without a compiler.

    Sample images are: each of their sizes would be compiled anew, for the few times that it is met.
    """
    token = _is_paused.set(True)
    try:
        yield
    finally:
        _is_paused.reset(token)


@contextmanager
def compiled(run: "Run", parts: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Within the block, networks and methods of objects, by their names for users, are compiled if the launch says so.

    They are changed in place: weights keep their names, and copies of networks are not compiled. Each kind of call (the
    shapes, with or without a gradient) is compiled where it is first met. What cannot be compiled is computed as
    without a compiler from then on, with one line in the log. A gradient of a gradient cannot be taken through
    what is compiled: a loss that needs one calls the network's ``forward``, which stays as it is. Raises ValueError
    for a backward pass that cannot be compiled, where that is noticed no sooner.
    """
    if not run.launch.compiles_on(run.fabric.device.type):
        yield
        return
    with ExitStack() as undo:
        undo.callback(torch.compiler.reset)  # what is kept for this run is of no use to another
        for name, part in parts.items():
            undo.enter_context(_replaced(part, partial(_CompiledCall, name, run)))
        try:
            yield
        except _compiler_errors() as error:
            raise ValueError(f"a backward pass cannot be compiled: {_reason(error)}; give --no-compile") from error


@contextmanager
def _replaced(part: Callable[..., Any], change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Change how a network, or a method of an object, is called."""
    if isinstance(part, nn.Module):
        # Where nn.Module.compile puts it too: copies and saves leave it out, and hooks of other modules see no change.
        part._compiled_call_impl = change(part.forward)
        try:
            yield
        finally:
            part._compiled_call_impl = None
        return
    owner, name = part.__self__, part.__name__  # type: ignore[attr-defined]
    setattr(owner, name, change(part))
    try:
        yield
    finally:
        delattr(owner, name)  # the class's own is seen again


class _CompiledCall:
    """A compiled function; where the compiler fails, the function as it is."""

    def __init__(self, name: str, run: "Run", plain: Callable[..., Any]) -> None:
        self.name, self.run, self.plain = name, run, plain
        self._compiled: Callable[..., Any] | None = None
        try:
            # One graph, or an error that is told: half a network in pieces would be slow without a word.
            self._compiled = torch.compile(plain, fullgraph=True, dynamic=False, backend=self._compile)
        except RuntimeError as error:  # where this Python, or this system, has no compiler
            self._give_up(error)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._compiled is not None and not _is_paused.get():
            try:
                return self._compiled(*args, **kwargs)
            except _compiler_errors() as error:  # before anything was computed
                self._give_up(error)
        return self.plain(*args, **kwargs)

    def _compile(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        backend = self.run.launch.compiler
        if isinstance(backend, str):
            backend = torch._dynamo.lookup_backend(backend)
        with self.run.compiling(self.name), _backward_at_once():
            result: Callable[..., Any] = backend(graph, inputs)
        return result

    def _give_up(self, error: Exception) -> None:
        self._compiled = None
        if self.run.is_stopping:  # a signal that stops the run ends the compiler's processes, too
            return
        if self.run.fabric.local_rank == 0:  # once a machine
            log.warning("%s is not compiled, hence slower: %s; --no-compile does not try", self.name, _reason(error))


@contextmanager
def _backward_at_once() -> Iterator[None]:
    """Compile backward passes beside the forward ones, so that what fails there fails before anything is computed."""
    from torch._functorch import config

    name = "force_non_lazy_backward_lowering"
    if hasattr(config, name):
        with config.patch(name, True):
            yield
    else:
        yield


def _compiler_errors() -> tuple[type[Exception], ...]:
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    return TorchDynamoException, FailOnRecompileLimitHit


def _reason(error: BaseException) -> str:
    """The first line of what the compiler met, without what it wraps around that."""
    while inner := getattr(error, "inner_exception", None) or error.__cause__:
        error = inner
    return reason_of(error)
