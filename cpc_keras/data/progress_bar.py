"""Progress with rate and time left."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

# In a log file a bar is noise, unless the wait is long enough to be taken for a hang.
_LONG = 1000


def progress_bar(items: Iterable[Item], description: str, *, total: int) -> Iterator[Item]:
    """Passes items on and shows how many came, at which rate, and the time left.

    The bar goes to stderr, where that is a terminal or there are more than 1,000 items.

    Args:
        items: What to pass on.
        description: Text in front of the bar.
        total: Number of items.

    Returns:
        An iterator over `items`.

    Example:
        >>> list(progress_bar(range(3), "count", total=3))
        [0, 1, 2]
    """
    from tqdm import tqdm

    is_terminal = sys.stderr.isatty()
    bar = tqdm(
        items,
        desc=description,
        total=total,
        unit="image",
        disable=not is_terminal and total <= _LONG,
        mininterval=0.1 if is_terminal else 10.0,
    )
    return iter(bar)
