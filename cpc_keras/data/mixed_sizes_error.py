"""The error of images that do not go into one array."""

from __future__ import annotations

import collections
from collections.abc import Iterable


class MixedSizesError(ValueError):
    """Images have different sizes, and none was asked for.

    Args:
        source: Where they come from, for the message.
        sizes: `(height, width)` of every image.

    Attributes:
        counts: Number of images of each size.

    Example:
        >>> MixedSizesError("folder:x", [(8, 8), (8, 9), (8, 8)]).counts.most_common(1)
        [((8, 8), 2)]
    """

    def __init__(self, source: str, sizes: Iterable[tuple[int, int]]) -> None:
        self.counts = collections.Counter(sizes)
        first = self.counts.most_common(5)
        listed = ", ".join(f"{h}x{w} ({count} files)" for (h, w), count in first)
        super().__init__(
            f"{source}: received images of {len(self.counts)} sizes (height x width): {listed}"
            f"{', ...' if len(self.counts) > 5 else ''}. Expected one size. Pass image_size= "
            "(--image-size) to resize them, for example image_size=96."
        )
