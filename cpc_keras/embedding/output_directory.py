"""The directory that an embedding is written into, shard by shard, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import uuid

import numpy as np

from cpc_keras.embedding.embed_shard import ShardFeatures
from cpc_keras.embedding.parquet_source import import_parquet
from cpc_keras.embedding.shard import Shard

FORMATS = ("parquet", "npy")
MANIFEST = "embedding.json"


class OutputDirectory:
    """Files of an embedding; a shard is done when its file of features has its name.

    Every file is written under another name and renamed, the features last. A shard that is worked
    on twice (a worker was killed, or Beam tries again) replaces its own files by the same: each
    image is there once.

    Args:
        path: the directory; made by `claim`.
        file_format: "parquet" or "npy".
        num_shards: of the source.

    Raises:
        ValueError: unknown format.

    Example:
        >>> output = OutputDirectory("out", file_format="npy", num_shards=3)
        >>> output.features_file(0).name
        'features-00000-of-00003.npy'
    """

    def __init__(self, path: str | os.PathLike, *, file_format: str, num_shards: int):
        if file_format not in FORMATS:
            raise ValueError(
                f"OutputDirectory: the format must be one of {FORMATS}. Received: {file_format!r}."
            )
        if file_format == "parquet":
            import_parquet()  # at the start, not after the first shard
        self.path, self.file_format = pathlib.Path(path), file_format
        self.num_shards = num_shards

    def claim(self, settings: dict) -> None:
        """Write the settings, or check that those that are there are the same.

        Raises:
            FileExistsError: the directory belongs to another embedding, or is none.
        """
        manifest = self.path / MANIFEST
        now = json.loads(json.dumps(settings))
        if not manifest.exists():
            if self.path.exists() and any(p for p in self.path.iterdir() if p.name[0] != "."):
                raise FileExistsError(
                    f"embed: {self.path} is not empty and holds no embedding (no {MANIFEST}). "
                    "Choose another directory."
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self._write(manifest, lambda path: path.write_text(json.dumps(now, indent=1) + "\n"))
        before = json.loads(manifest.read_text())
        if before != now:
            different = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
            raise FileExistsError(
                f"embed: {self.path} holds an embedding with other settings "
                f"({', '.join(different)} differ; see {manifest}). Choose another directory, or "
                "repeat the settings (and restore the images) to go on."
            )

    def features_file(self, number: int) -> pathlib.Path:
        """Where the features of a shard go."""
        return self._file("features", number, self.file_format)

    def is_done(self, number: int) -> bool:
        """Whether a shard was finished."""
        return self.features_file(number).exists()

    def write(self, shard: Shard, result: ShardFeatures) -> None:
        """Write what came of a shard."""
        bad = self._file("unreadable", shard.number, "csv")
        if result.unreadable:
            self._write(bad, lambda path: _write_rows(path, result.unreadable))
        target = self.features_file(shard.number)
        if self.file_format == "npy":
            # The names first: with the features the shard is done.
            names = self._file("names", shard.number, "json")
            self._write(names, lambda path: path.write_text(json.dumps(_plain(result.names))))
            self._write(target, lambda path: _write_npy(path, result.features))
        else:
            self._write(target, lambda path: _write_parquet(path, result))

    def unreadable(self) -> list[tuple[str, str]]:
        """Name and reason of all images that could not be read."""
        found = []
        for number in range(self.num_shards):
            file = self._file("unreadable", number, "csv")
            if file.exists():
                with file.open(newline="") as opened:
                    found += [tuple(row) for row in list(csv.reader(opened))[1:]]
        return found

    def _file(self, kind, number, suffix):
        return self.path / f"{kind}-{number:05d}-of-{self.num_shards:05d}.{suffix}"

    @staticmethod
    def _write(target, write):
        # A name of its own: two workers may be at the same shard.
        partial = target.with_name(f".partial-{uuid.uuid4().hex[:8]}-{target.name}")
        try:
            write(partial)
            # On the disk before its name is: a power cut would leave a torn shard that is done.
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _plain(names):
    # Names of files need not be UTF-8; what is not is shown escaped.
    return [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]


def _write_rows(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "reason"))
        names = _plain([row.path for row in rows])
        writer.writerows(zip(names, (row.reason for row in rows), strict=True))


def _write_npy(path, features):
    # np.save adds its ending to a name without it, but not to an open file.
    with path.open("wb") as file:
        np.save(file, features, allow_pickle=False)


def _write_parquet(path, result):
    parquet = import_parquet()
    import pyarrow as pa

    dim = result.features.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(result.features.ravel()), dim)
    table = pa.table({"name": pa.array(_plain(result.names), pa.string()), "features": column})
    parquet.write_table(table, path)
