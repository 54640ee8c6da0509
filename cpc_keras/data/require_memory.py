"""A clear refusal instead of a killed process."""

from __future__ import annotations

import contextlib
import math
import os
import pathlib


def require_memory(shape: tuple[int, ...], *, source: str) -> None:
    """Refuses an array of images that cannot fit into memory.

    The system grants more memory than it has and kills the process when the pages are written, so
    the check has to come first. Where the system does not tell, nothing is checked.

    Args:
        shape: `(n, height, width, channels)` of the uint8 array.
        source: Where the images come from, for the message.

    Raises:
        ValueError: If the array needs more bytes than are available.

    Example:
        >>> require_memory((10, 32, 32, 3), source="folder:photos")
    """
    needed = math.prod(shape)
    available = _available_bytes()
    if available is not None and needed > available:
        count, height, width, channels = shape
        raise ValueError(
            f"{source}: {count} images of {height}x{width}x{channels} need {needed / 1e9:.3g} GB, "
            f"and {available / 1e9:.3g} GB of memory are available. Expected images that fit into "
            "memory as uint8. Pass a smaller image_size= (--image-size), channels=1, or fewer "
            "images; a folder's are read as they are needed with in_memory=False (--stream)."
        )


def _available_bytes() -> int | None:
    # MemAvailable counts the page cache as available; os.sysconf("SC_AVPHYS_PAGES") does not, and
    # would refuse on any machine that has read many files.
    available = []
    try:
        fields = pathlib.Path("/proc/meminfo").read_text().split()
        available.append(int(fields[fields.index("MemAvailable:") + 1]) * 1024)
    except (OSError, ValueError):
        try:
            available.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (AttributeError, OSError, ValueError):
            return None
    # A container's limit, which /proc/meminfo does not know; "max" where there is none.
    with contextlib.suppress(OSError, ValueError):
        available.append(int(pathlib.Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(available)
