"""Results that outlive a stopped evaluation, and that processes share."""

import hashlib
import json
import os
import pathlib

from cpc_keras.evaluation.result_lock import result_lock


class ResultLog:
    """Keeps results, one JSON line each, under the settings they were measured with.

    A stopped evaluation that is started again finds what it has measured. With other settings it
    begins anew; the results of before are put aside, beside the file, and are there again with
    their settings. Several processes may add to one file.

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
        with self._locked():
            found, results = self._read()
            if found not in (None, self._settings):
                self._path.replace(self._aside(found))
                if self._aside(self._settings).exists():
                    self._aside(self._settings).replace(self._path)
                found, results = self._read()
            if found is not None:
                # Without a line that was torn.
                self._rewrite(results)

    @property
    def results(self) -> list[dict]:
        """All results so far, those of other processes too."""
        found, results = self._read()
        return results if found == self._settings else []

    def add(self, result: dict) -> None:
        """Append a result.

        Raises:
            RuntimeError: another process has begun anew with other settings.
        """
        with self._locked():
            found, _ = self._read()
            if found is None:
                self._rewrite([result])
                return
            if found != self._settings:
                raise RuntimeError(
                    f"Another process measures into {self._path} with other settings: {found}. "
                    f"This one's are {self._settings}. Give each its own directory."
                )
            with open(self._path, "a") as file:
                file.write(json.dumps(result) + "\n")

    def _locked(self):
        return result_lock(self._path.with_suffix(".lock"))

    def _aside(self, settings):
        name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        return self._path.with_name(f"{self._path.stem}-{name}{self._path.suffix}")

    def _read(self):
        lines = []
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            # A kill can tear the last line.
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return (lines[0], lines[1:]) if lines else (None, [])

    def _rewrite(self, results):
        lines = [self._settings, *results]
        self._path.write_text("".join(json.dumps(line) + "\n" for line in lines))
