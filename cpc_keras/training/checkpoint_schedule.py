"""How often a run is saved, and how many of its checkpoints stay."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class CheckpointSchedule:
    """When `pretrain` saves, besides at the end and before a signal ends it.

    What a run becomes does not depend on it: an interrupted run ends as one that was not.

    Attributes:
        seconds: least time between two, also within epochs; where saving itself takes long, so much
            longer that it takes no more than 2 % of the time.
        steps: save after each so many steps of an epoch, and at its end, as well.
        keep: how many of the newest stay, at least 1; with 2, one that the disk damaged costs the
            time since the one before.

    Raises:
        ValueError: numbers out of range.

    Example:
        >>> CheckpointSchedule(seconds=600, keep=3).keep
        3
    """

    seconds: float = 30.0
    steps: int | None = None
    keep: int = 2

    def __post_init__(self):
        """Check the numbers."""
        if self.seconds < 0 or (self.steps is not None and self.steps < 1) or self.keep < 1:
            raise ValueError(
                "CheckpointSchedule needs seconds >= 0, steps >= 1 or None, and keep >= 1. "
                f"Received: {self}."
            )
