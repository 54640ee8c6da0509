"""What features are worth as pre-training goes on."""

import os
import pathlib
import re
from collections.abc import Callable

import numpy as np

from cpc_keras.evaluation.nearest_neighbors import nearest_neighbors
from cpc_keras.export import load_keras_file

SAVED = re.compile(r"epoch-(\d+)-step-(\d+)\.keras")


def iteration_curve(
    run: str | os.PathLike,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    protocol: Callable[..., dict] = nearest_neighbors,
    on_result: Callable[[dict], None] = lambda result: None,
    **options,
) -> list[dict]:
    """Measure the encoders that a run has kept, from the untrained one to the last.

    `training.SaveEncoders` keeps them (`cpc-keras pretrain --save-encoders-every N`). The curve
    tells whether more pre-training is worth its time. It chooses nothing: to stop at its best
    point, measure on images that are not the final test.

    Args:
        run: run directory with `encoders/`, or that directory itself.
        train: `(images, labels)`, as the protocol takes them.
        test: `(images, labels)` to measure on.
        protocol: `nearest_neighbors`, `linear_probe`, or any function with the same arguments.
        on_result: called with each new result, for example to move a progress bar.
        **options: further arguments of the protocol.

    Returns:
        One dict for each encoder, by steps: `epoch`, `step`, `accuracy` (top-1; not of images of
        several classes) and what the protocol returns.

    Raises:
        FileNotFoundError: the run has kept no encoders.
        ValueError: the images do not fit the encoders.

    Example:
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> encoder.save("epoch-0000-step-00000000.keras")
        >>> data = images, [0, 1, 0, 1]
        >>> [(r["step"], r["accuracy"]) for r in iteration_curve(".", data, data, num_neighbors=1)]
        [(0, 1.0)]
    """
    found = saved_encoders(run)
    if not found:
        raise FileNotFoundError(
            f"{run} has kept no encoders. Expected files such as encoders/epoch-0010-step-00000620"
            ".keras. Pre-train with SaveEncoders (--save-encoders-every 10)."
        )
    curve = []
    for path in found:
        encoder = load_keras_file(path, compile=False)
        if tuple(encoder.input_shape[1:]) != tuple(np.shape(train[0])[1:]):
            raise ValueError(
                f"{path} takes images of shape {encoder.input_shape[1:]}. Received images of shape "
                f"{np.shape(train[0])[1:]}. Load them with the image_size and channels of the run."
            )
        epoch, step = (int(number) for number in SAVED.fullmatch(path.name).groups())
        measured = protocol(encoder, train, test, **options)
        point = {"epoch": epoch, "step": step}
        if "top_1" in measured:
            point["accuracy"] = measured["top_1"]
        curve.append({**point, **measured})
        on_result(curve[-1])
    return curve


def saved_encoders(run: str | os.PathLike) -> list[pathlib.Path]:
    """Return the files of a run's kept encoders, by steps; an empty list where there are none.

    Args:
        run: run directory with `encoders/`, or that directory itself.

    Returns:
        Paths, such as `encoders/epoch-0010-step-00000620.keras`.
    """
    directory = pathlib.Path(run)
    if (directory / "encoders").is_dir():
        directory = directory / "encoders"
    files = [path for path in directory.glob("epoch-*.keras") if SAVED.fullmatch(path.name)]
    return sorted(files, key=lambda path: int(SAVED.fullmatch(path.name)[2]))
