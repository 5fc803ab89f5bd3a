"""The annotated fit and test splits of a graph's evaluation, and notes on them."""

from autolink_gen.common.text import counted
from autolink_gen.data.held_out import training_files
from autolink_gen.data.source import open_source
from autolink_gen.evaluation.settings import EvaluationSettings
from autolink_gen.evaluation.splits import (
    AnnotatedSplit,
    MissingSplitError,
    check_alike,
    find_folders,
    read_held_out,
    read_split,
)
from autolink_gen.runs import RunFolder


def read_splits(settings: EvaluationSettings) -> tuple[AnnotatedSplit, AnnotatedSplit]:
    """The images to fit on and those to test on; ValueError for settings that do not go together."""
    settings.check_hold_out()
    if settings.hold_out:
        limits = {"fit_limit": settings.max_fit, "test_limit": settings.max_test}
        splits = read_held_out(settings.source, every=settings.hold_out, **limits)
    else:
        try:
            fit_folder, test_folder = find_folders(settings.source, fit_data=settings.fit_data)
        except MissingSplitError as error:
            raise MissingSplitError(
                f"{error}, or give --fit-data DIR, images with landmarks to fit the regression on"
            ) from error
        splits = (
            read_split(fit_folder, landmarks=settings.fit_landmarks, limit=settings.max_fit),
            read_split(test_folder, landmarks=settings.landmarks, limit=settings.max_test),
        )
    check_alike(*splits)
    return splits


def notes_on_splits(fit: AnnotatedSplit, test: AnnotatedSplit, *, num_fitted: int, num_keypoints: int) -> list[str]:
    """Lines that name the splits and warn of scores that are too good.

    ``num_fitted`` of the test images are in the fit split too.
    """
    notes = [
        f"{name}: {counted(len(split), 'image')} of {split.folder}, landmarks of {split.table_path}"
        for name, split in (("fit", fit), ("test", test))
    ]
    if num_fitted:
        notes.append(
            f"note: {num_fitted} of the {counted(len(test), 'test image')} are fitted on as well: the scores are "
            f"better than those of images not seen; give other test images"
        )
    if len(fit) < 4 * num_keypoints:
        notes.append(f"that is few to fit {num_keypoints} keypoints on: do not trust the scores")
    return notes


def trained_on_note(run: RunFolder, settings: EvaluationSettings) -> str | None:
    """A note if the run was trained on images of held-out people, wherever they lay then."""
    if not settings.hold_out:
        return None
    config = run.config()
    if config is None:
        return "note: nothing says whether the run was trained on the people that are measured"
    learned_from = open_source(config.data.name, root=config.data.root or settings.data_root)
    trained_files = training_files(learned_from, every=config.data.hold_out)
    test = read_held_out(settings.source, every=settings.hold_out)[1]
    number = sum((str(path.relative_to(test.folder)), path.stat().st_size) in trained_files for path in test.paths)
    if not number:
        return None
    return (
        f"note: {number} of the {counted(len(test), 'image')} of people held out were trained on: the scores are "
        f"better than those of people not seen; train with --hold-out {settings.hold_out}"
    )
