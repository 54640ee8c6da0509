"""Names and features back from their files."""

import json
import os
import pathlib

import numpy as np

from cpc_keras.embedding.output_directory import MANIFEST
from cpc_keras.embedding.parquet_source import import_parquet


def read_embedding(path: str | os.PathLike) -> tuple[list[str], np.ndarray]:
    """Read all that `embed_images` or `embed_on_beam` wrote into a directory.

    Args:
        path: the directory.

    Returns:
        Names `[n]`, and features float32 `[n, d]`, in the order of the source.

    Raises:
        FileNotFoundError: no embedding, or one that is not finished; run the same command again.

    Example:
        >>> names, features = read_embedding("features")  # doctest: +SKIP
    """
    path = pathlib.Path(path)
    if not (path / MANIFEST).is_file():
        raise FileNotFoundError(f"read_embedding: {path} holds no embedding (no {MANIFEST}).")
    settings = json.loads((path / MANIFEST).read_text())
    names, parts, missing = [], [], []
    for number in range(settings["num_shards"]):
        ending = f"-{number:05d}-of-{settings['num_shards']:05d}"
        file = path / f"features{ending}.{settings['format']}"
        if not file.exists():
            missing.append(file.name)
        elif settings["format"] == "npy":
            parts.append(np.load(file, allow_pickle=False))
            names += json.loads((path / f"names{ending}.json").read_text())
        else:
            table = import_parquet().read_table(file).combine_chunks()
            names += table.column("name").to_pylist()
            values = table.column("features").combine_chunks().flatten().to_numpy()
            parts.append(values.reshape(table.num_rows, settings["feature_dim"]))
    if missing:
        raise FileNotFoundError(
            f"read_embedding: {path} is not finished: {len(missing)} of {settings['num_shards']} "
            f"files are missing, first {missing[0]}. Run the same command again to go on."
        )
    return names, np.concatenate(parts)
