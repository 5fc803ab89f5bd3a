"""Models built without memory, as loaders do before they look at a file's weights."""

import subprocess
import sys

PROGRAM = """
import sys, torch
from autolink_gen.models.autolink import AutoLink, AutoLinkConfig
from autolink_gen.models.generator import Generator, GanConfig
from autolink_gen.models.transfer import TransferConfig, TransferNetwork
with torch.device("meta"):
    models = [
        AutoLink(AutoLinkConfig()), AutoLink(AutoLinkConfig(detector="features", features="random")),
        Generator(GanConfig()), TransferNetwork(TransferConfig()),
    ]
assert all(model.state_dict() for model in models)
print("torch._dynamo" in sys.modules)
"""


def test_torchs_compiler_is_not_imported_for_it() -> None:
    """It takes longer than the rest of loading a model."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
