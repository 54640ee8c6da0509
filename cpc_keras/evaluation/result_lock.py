"""A lock between processes that measure into one directory."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def result_lock(path: str | os.PathLike, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock while the block runs; it ends with the process, so a kill leaves none behind.

    On a file system without locks the lock is always given: there, measure with one process.

    Args:
        path: file of the lock, made where it is missing.
        wait: wait for a process that holds it.

    Yields:
        Whether this process holds the lock; without `wait`, `False` where another does.

    Example:
        >>> with result_lock("/tmp/lock-of-a-doctest") as mine:
        ...     mine
        True
    """
    import fcntl  # of Linux and macOS, as this package

    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except BlockingIOError:
            held = False
        except OSError:
            held = True
        yield held
