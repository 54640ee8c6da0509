"""Two numbers that are a range of pixels."""

from __future__ import annotations

import math


def check_pixel_range(
    pixel_range: tuple[float, float] | None,
) -> tuple[float, float] | None:
    """Refuses what is no range of pixels.

    Args:
        pixel_range: `(low, high)`, or None for the whole range of 8 or 16 bits.

    Returns:
        The same, as floats.

    Raises:
        ValueError: If it is not two finite numbers, the lower first.

    Example:
        >>> check_pixel_range((0, 4095))
        (0.0, 4095.0)
    """
    if pixel_range is None:
        return None
    try:
        low, high = map(float, pixel_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise ValueError(
            f"received pixel_range={pixel_range!r}. Expected (low, high), two numbers, "
            "the lower first. Try pixel_range=(0, 4095) (--pixel-range 0,4095) for 12 bits."
        )
    return low, high
