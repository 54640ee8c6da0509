"""From where to where the pixels of images reach, before they become 8 bits."""

from __future__ import annotations

import numpy as np


class StoredValues:
    """Collects the lowest and the highest pixel of images that are scaled to become 8 bits.

    Threads may share one.

    Example:
        >>> stored = StoredValues()
        >>> stored.note(np.array([[7, 4095]], "uint16"))
        >>> stored.note(np.array([[2, 80]], "uint16"))
        >>> stored.ranges()
        {'uint16': (2, 4095)}
    """

    def __init__(self) -> None:
        self._found: list[tuple[str, float, float]] = []

    def note(self, pixels: np.ndarray) -> None:
        """Adds an image, or images.

        Args:
            pixels: Of any shape and numeric type.
        """
        # To append is one step, which needs no lock.
        self._found.append((pixels.dtype.name, pixels.min().item(), pixels.max().item()))

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Gives what was found.

        Returns:
            By the name of their type, the lowest and the highest pixel of all images of this type.
        """
        found: dict[str, tuple[float, float]] = {}
        for kind, low, high in self._found:
            lowest, highest = found.get(kind, (low, high))
            found[kind] = (min(lowest, low), max(highest, high))
        return found
