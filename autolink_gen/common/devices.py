"""The default device and precision, and the way of tensors to a device and back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor


def best_device() -> str:
    """The default device: "cuda" where there is one, else "cpu".

    An Apple GPU, "mps", is taken where it is named alone: some operations and all double precision are missing there.
    """
    return "cuda" if torch.cuda.is_available() else "cpu"


def best_precision(kind: str) -> str:
    """The default precision: "bf16-mixed" if the device multiplies bfloat16, else "32-true".

    Processors that have to convert bfloat16 first are slower with it.
    """
    if kind == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, and not in every version
    checks = (getattr(torch.cpu, name, None) for name in names)
    return "bf16-mixed" if kind == "cpu" and any(test() for test in checks if test is not None) else "32-true"


def usable_device(name: str) -> str:
    """The device as named; ValueError where it cannot be used here."""
    try:
        torch.zeros(1, device=name).cpu()  # there are devices from which nothing comes back
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).splitlines()[0]
        if reason.startswith("Expected one of"):  # followed by every kind of device there is
            reason = "PyTorch knows no such kind of device"
        elif reason.startswith("Could not run"):  # followed by the kinds for which it can
            reason = "this build of PyTorch has nothing for it"
        raise ValueError(f"{name} cannot be used here ({reason}); try cpu") from None
    return name


def chosen_device(name: str | None) -> str:
    """The device as named, else the default one; ValueError where it cannot be used here."""
    return best_device() if name is None else usable_device(name)


def to_device(values: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on a device, without waiting for what a CUDA device still has to do.

    A plain copy from the CPU to a CUDA device waits until all work that was given to the device is done.
    """
    if values.device.type == "cpu" and torch.device(device).type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


@contextmanager
def exact_convolutions(device: torch.device | str) -> Iterator[None]:
    """Convolutions in true single precision on a CUDA device within the block; otherwise cuDNN takes TF32.

    TF32 keeps ten bits of each factor. Keypoints in images of 128 pixels then lie up to 0.05 pixels elsewhere.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    owner: Any = torch.backends.cudnn
    name: str = "allow_tf32"
    exact: Any = False
    if hasattr(owner, "conv"):  # PyTorch 2.9 and later refuse to read the old name where the new one was set
        owner, name, exact = owner.conv, "fp32_precision", "ieee"
    before = getattr(owner, name)
    setattr(owner, name, exact)
    try:
        yield
    finally:
        setattr(owner, name, before)


def works_aside(device: torch.device | str) -> bool:
    """Whether the device works while the CPU does something else, so that reading and writing in between pays."""
    return torch.device(device).type != "cpu"


def to_cpu_later(values: Tensor) -> Callable[[], Tensor]:
    """Begin to copy a tensor to the CPU; a call of the result waits for that copy alone.

    A plain copy made later would also wait for what the device was given to do in the meantime.
    """
    if values.device.type != "cuda":
        return values.cpu
    copy = values.to("cpu", non_blocking=True)  # into pinned memory
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(values.device))

    def wait() -> Tensor:
        done.synchronize()
        return copy

    return wait


def double_on_cpu(values: Tensor) -> Float[Tensor, "..."]:
    """The values in double precision, on the CPU: an Apple GPU has none."""
    return values.detach().cpu().double()


def float64_array(values: Tensor) -> Float[ndarray, "..."]:
    """The values as a float64 array; what may lie on a device comes here, since an Apple GPU has no such numbers."""
    array: ndarray = double_on_cpu(values).numpy()
    return array
