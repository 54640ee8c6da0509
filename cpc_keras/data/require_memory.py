"""A clear refusal instead of a killed process."""

from __future__ import annotations

import math
import os
import pathlib

# Of a container (cgroup v2, then v1): folder, limit, what is used, and in `memory.stat` the cache.
_CONTAINERS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", ("inactive_file", "active_file")),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)


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
    left = (_left_in_container(*container) for container in _CONTAINERS)
    return min([*available, *(count for count in left if count is not None)])


def _left_in_container(folder: str, limit: str, used: str, cache: tuple[str, str]) -> int | None:
    """What is left of a limit that /proc/meminfo does not know; None where there is none."""
    files = pathlib.Path(folder)
    try:
        left = int((files / limit).read_text()) - int((files / used).read_text())
        fields = (files / "memory.stat").read_text().split()
        # Files that were read count as used, and give way like those of MemAvailable.
        left += sum(int(fields[fields.index(name) + 1]) for name in cache)
    except (OSError, ValueError):  # no such files, or "max"
        return None
    return max(left, 0)
