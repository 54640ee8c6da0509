"""Results that outlive a stopped evaluation, and that processes share."""

import hashlib
import json
import os
import pathlib

from cpc_keras.evaluation.result_lock import result_lock


class ResultLog:
    """Keeps results, one JSON line each, in a file for the settings they were measured with.

    A stopped evaluation that is started again finds what it has measured. Other settings have
    another file beside it, so that none is in the way of others. Several processes may add to one.

    Args:
        path: what the files are called: `measurements.jsonl` stands for `measurements-HASH.jsonl`,
            made with the first result.
        settings: JSON-like dict of everything that the results depend on; the file's first line.

    Attributes:
        path: the file of these settings.

    Example:
        >>> log = ResultLog("/tmp/results-of-a-doctest.jsonl", {"steps": 3})
        >>> log.results
        []
    """

    def __init__(self, path: str | os.PathLike, settings: dict):
        text = json.dumps(settings, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:8]
        path = pathlib.Path(path)
        self.path = path.with_name(f"{path.stem}-{name}{path.suffix}")
        self._first_line = text + "\n"

    @property
    def results(self) -> list[dict]:
        """All results so far, those of other processes too."""
        return [json.loads(line) for line in self._whole_lines()[1:]]

    def add(self, result: dict) -> None:
        """Append a result."""
        with result_lock(self.path.with_suffix(".lock")):
            whole = "".join(self._whole_lines()) or self._first_line
            if not self.path.exists() or self.path.read_text() != whole:
                # Without a line that a kill has torn.
                partial = self.path.with_suffix(".partial")
                partial.write_text(whole)
                partial.replace(self.path)
            with open(self.path, "a") as file:
                file.write(json.dumps(result) + "\n")

    def _whole_lines(self):
        text = self.path.read_text() if self.path.exists() else ""
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
