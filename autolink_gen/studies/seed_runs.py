"""Several seeds of one plan: their folders, and their comparison once trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autolink_gen.common.progress import Progress
from autolink_gen.studies.seed_table import claim_table
from autolink_gen.studies.seeds import (
    SEEDS_NAME,
    SeedLoss,
    check_free,
    check_kept,
    compare_seeds,
    keep_best,
    spread,
    write_losses,
)
from autolink_gen.training.folders import move_aside
from autolink_gen.training.plans import GraphPlan


@dataclass(frozen=True)
class SeedRuns:
    """A plan trained with ``count`` seeds from its own on; with ``best_only`` the others are deleted at the end."""

    plan: GraphPlan
    count: int
    best_only: bool = False

    @property
    def seeds(self) -> Sequence[int]:
        """The seeds, in order."""
        first = self.plan.config.training.seed
        return range(first, first + self.count)

    @property
    def table(self) -> Path:
        """The file of the losses, where all runs are kept."""
        return self.plan.folder.with_name(f"{self.plan.folder.name}-{SEEDS_NAME}")

    def plans(self) -> list[GraphPlan]:
        """The plan of each seed."""
        config, folder = self.plan.config, self.plan.folder
        return [
            replace(
                self.plan,
                config=replace(config, training=replace(config.training, seed=seed)),
                folder=folder.with_name(f"{folder.name}-seed{seed}"),
            )
            for seed in self.seeds
        ]

    def is_finished(self, *, fresh: bool) -> bool:
        """Whether the best run is there already; ``fresh`` moves it aside.

        Raises ValueError if it is of other seeds or settings, and if its place or the table's is taken.
        """
        folder = self.plan.folder
        if not self.best_only:
            runs = zip(self.seeds, (plan.folder for plan in self.plans()), strict=True)
            claim_table(self.table, dict(runs), fresh=fresh)
            return False
        if (folder / SEEDS_NAME).is_file():
            if not fresh:
                check_kept(folder, self.plan.config, self.seeds)
                return True
            move_aside(folder)
        check_free(folder)
        return False

    def finish(self, *, progress: Progress) -> list[str]:
        """Compare the trained runs, write the table or keep the best; what to tell of it, a line each."""
        folders = [plan.folder for plan in self.plans()]
        losses = compare_seeds(self.plan.config, folders, self.seeds, progress=progress)
        best = folders[self.seeds.index(losses[0].seed)]
        if not self.best_only:
            write_losses(self.table, losses)
            return [*_summary(losses), f"wrote {self.table}; the best is {best}"]
        keep_best(folders, best, self.plan.folder, losses)
        return [*_summary(losses), f"kept seed {losses[0].seed} as {self.plan.folder}, and deleted the others"]


def _summary(losses: Sequence[SeedLoss]) -> list[str]:
    mean, deviation = spread(losses)
    heading = f"reconstruction loss of {len(losses)} seeds on the same images: {mean:.4f} ± {deviation:.4f}"
    return [heading, *(f"  seed {loss.seed}: {loss.loss:.4f}" for loss in losses)]
