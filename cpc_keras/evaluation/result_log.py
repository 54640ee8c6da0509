"""Results that outlive a stopped evaluation."""

import json
import os
import pathlib


class ResultLog:
    """Keeps results, one JSON line each, under the settings they were measured with.

    A stopped evaluation that is started again finds what it has measured; with other settings it
    begins anew.

    Args:
        path: the file; made with the first result.
        settings: JSON-like dict of everything that the results depend on.

    Example:
        >>> log = ResultLog("/tmp/results-of-a-doctest.jsonl", {"steps": 3})
        >>> log.results
        []
    """

    def __init__(self, path: str | os.PathLike, settings: dict):
        self._path = pathlib.Path(path)
        # Through JSON, so that tuples and lists compare equal.
        self._settings = json.loads(json.dumps(settings))
        self.results: list[dict] = []
        if not self._path.exists():
            return
        lines = []
        for line in self._path.read_text().splitlines():
            # A kill can tear the last line.
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                break
        if lines and lines[0] == self._settings:
            self.results = lines[1:]
        self._rewrite()

    def add(self, result: dict) -> None:
        """Append a result."""
        self.results.append(result)
        if not self._path.exists():
            self._rewrite()
            return
        with open(self._path, "a") as file:
            file.write(json.dumps(result) + "\n")

    def _rewrite(self):
        lines = [self._settings, *self.results]
        self._path.write_text("".join(json.dumps(line) + "\n" for line in lines))
