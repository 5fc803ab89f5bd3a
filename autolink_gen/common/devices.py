"""The default device and precision, and the way of tensors to a device."""

import torch
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
        raise ValueError(f"{name} cannot be used here ({reason}); try cpu") from None
    return name


def to_device(values: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on a device, without waiting for what a CUDA device still has to do.

    A plain copy from the CPU to a CUDA device waits until all work that was given to the device is done.
    """
    if values.device.type == "cpu" and torch.device(device).type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
