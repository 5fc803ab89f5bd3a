"""Several data sets opened as one."""

from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import Dataset


class Mixture(Dataset[Tensor]):
    """The items of several data sets, of each as many as of any other: a smaller one comes round again.

    `[i]` is of set i modulo their number. One after the other instead, a few videos, of which 100,000 frames are drawn
    an epoch, would leave thousands of images a share of three in a hundred.
    """

    def __init__(self, datasets: Sequence[Dataset[Tensor]]) -> None:
        self.datasets = list(datasets)
        self.lengths = [len(dataset) for dataset in self.datasets]  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.datasets) * max(self.lengths)

    def __getitem__(self, index: int) -> Tensor:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        number, within = self.place(index)
        return self.datasets[number][within]

    def place(self, index: int) -> tuple[int, int]:
        """The number of the set that an item is of, and its index there."""
        within, number = divmod(index, len(self.datasets))
        return number, within % self.lengths[number]
