"""``autolink-gen evaluate RUN``: what the keypoints alone tell of the pictures' appearance."""

from typing import TYPE_CHECKING, Any

from autolink_gen.cli.shared import counted, echo

if TYPE_CHECKING:
    from autolink_gen.evaluation.seen import Seen


def leak_scores(seen: "Seen") -> dict[str, Any]:
    """Print how much of the colours, and of the classes, follows from keypoints; the numbers, none of few pictures."""
    from autolink_gen.evaluation.leak import MIN_PICTURES, appearance_leak

    if len(seen) < MIN_PICTURES:
        echo(f"appearance leak: not measured on {counted(len(seen), 'picture')}, it takes {MIN_PICTURES}")
        return {}
    leak = appearance_leak(seen.keypoints, seen.colours, classes=seen.classes, groups=seen.groups)
    echo(
        f"appearance leak: keypoints alone tell {leak.appearance_leak:.1%} of the variance of a picture's mean colour "
        f"(another picture's {leak.appearance_leak_shuffled:.1%}; the less, the better), {len(seen)} pictures"
    )
    if leak.class_leak is not None:
        echo(
            f"  and the class of {leak.class_leak:.1%} of the pictures (another picture's "
            f"{leak.class_leak_shuffled:.1%}; the largest class has {leak.class_share:.1%})"
        )
    return leak.to_dict()
