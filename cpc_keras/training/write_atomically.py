"""Files that are whole or not there."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

PARTIAL = ".partial-"
# No space left, over the quota, over the limit of a file's size.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def write_atomically(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Give another name to write to, and rename what was written there when the block ends well.

    Whatever happens, also a kill, a power cut or a full disk, `path` holds all of the new content
    or what it held before. The other name is `.partial-NAME`; what a kill leaves under it, the next
    write replaces.

    Args:
        path: file to write or to replace; its directory must be there.

    Yields:
        The name to write to, with the ending of `path`.

    Raises:
        OSError: the file could not be written. Where the disk is full, the error says so.

    Example:
        >>> with write_atomically("facts.txt") as partial:
        ...     _ = partial.write_text("whole")
        >>> open("facts.txt").read()
        'whole'
    """
    path = pathlib.Path(path)
    partial = path.with_name(f"{PARTIAL}{path.name}")
    try:
        yield partial
        # On the disk before its name is: a power cut would leave an empty file under that.
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            raise OSError(
                error.errno,
                f"{os.strerror(error.errno)} while {path.name} was written; what was in "
                f"{path.parent} before is still there. Make room, and run the same again",
                str(path),
            ) from error
        raise


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
