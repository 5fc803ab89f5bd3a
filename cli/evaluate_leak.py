"""``autolink-gen evaluate RUN``: what the keypoints alone tell of the pictures' appearance."""

from typing import TYPE_CHECKING, Any

from autolink_gen.cli.options import echo
from autolink_gen.common.text import counted

if TYPE_CHECKING:
    from autolink_gen.evaluation.seen import Seen


def leak_scores(seen: "Seen") -> dict[str, Any]:
    """Print how much of the colours, and of the classes, follows from keypoints; the numbers, none of few pictures."""
    from autolink_gen.evaluation.leak import MIN_PICTURES, appearance_leak

    if len(seen) < MIN_PICTURES:
        echo(f"appearance leak: not measured on {counted(len(seen), 'picture')}, it takes {MIN_PICTURES}")
        return {}
    leak = appearance_leak(seen.keypoints, seen.colours, classes=seen.classes, groups=seen.groups)
    told, by_chance = 100 * leak.appearance_leak, 100 * leak.appearance_leak_shuffled
    echo(
        f"appearance leak: keypoints alone tell {told:.1f} % of the variance of a picture's mean colour (another "
        f"picture's {by_chance:.1f} %; the less, the better), {len(seen)} pictures"
    )
    if leak.class_leak is not None and leak.class_leak_shuffled is not None and leak.class_share is not None:
        echo(
            f"  and the class of {100 * leak.class_leak:.1f} % of the pictures (another picture's "
            f"{100 * leak.class_leak_shuffled:.1f} %; the largest class has {100 * leak.class_share:.1f} %)"
        )
    return leak.to_dict()
