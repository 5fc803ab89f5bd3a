"""The device that is taken where none is named."""


def best_device() -> str:
    """The kind of device to take where none is named: "cuda" where there is one, else "cpu".

    An Apple GPU, "mps", is taken where it is named alone: some operations and all double precision are missing there.
    """
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
