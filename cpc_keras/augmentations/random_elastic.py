"""Random elastic deformations."""

import keras
import numpy as np
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer
from cpc_keras.ops import sample_bilinear


@keras.saving.register_keras_serializable("cpc_keras")
class RandomElastic(RandomImageLayer):
    """Bends each image of a batch as if it were printed on rubber, and shears it.

    Control points lie on a grid over the image; each is moved by a Gaussian draw along both axes,
    a cubic B-spline through their movements says how far every pixel moves, a shear about the
    centre is added, and the image is read once, bilinearly, at the moved positions. These are the
    primitives of De Fauw et al. 2018 (Nature Medicine 24; code: multidim-image-augmentation) that
    CPC v2 uses (Henaff et al. 2019, arXiv:1905.09272). The magnitudes of CPC v2 are not published:
    the defaults are those of the example that comes with that code, 15 pixels of 241 and some three
    cells a side. Off at evaluation.

    Args:
        displacement: standard deviation of the control points' movement, as a share of the side,
            0 or more. (The spline averages over neighbours: pixels move about half as far.)
        num_cells: cells of the grid along each axis, 1 or more. More cells bend in finer waves.
        shear: largest shear, to both sides and along both axes.
        fill_mode: what comes in from outside: "nearest" pixel or "constant".
        fill_value: that constant.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` bends.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: a negative `displacement` or `shear`, no cells, or an unknown `fill_mode`.

    Example:
        >>> tuple(RandomElastic(seed=0)(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        displacement: float = 0.06,
        *,
        num_cells: int = 3,
        shear: float = 0.0,
        fill_mode: str = "nearest",
        fill_value: float = 0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        if displacement < 0 or shear < 0:
            raise ValueError(
                "displacement and shear must be >= 0. Received: "
                f"displacement={displacement!r}, shear={shear!r}."
            )
        if not isinstance(num_cells, int) or num_cells < 1:
            raise ValueError(f"num_cells must be a whole number >= 1. Received: {num_cells!r}.")
        if fill_mode not in ("nearest", "constant"):
            raise ValueError(f'fill_mode must be "nearest" or "constant". Received: {fill_mode!r}.')
        self.displacement = displacement
        self.num_cells = num_cells
        self.shear = shear
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def augment(self, images):
        """Bend the images."""
        _, height, width, _ = images.shape
        points = self.num_cells + 3
        shape = (2, ops.shape(images)[0], points, points)
        moves = keras.random.normal(shape, dtype="float32", seed=self.seed_generator)
        moves = moves * self.displacement
        # [2, batch, points, points] -> [2, batch, height, width]: a B-spline is linear in them.
        moves = ops.matmul(moves, _spline_weights(width, self.num_cells).T)
        moves = ops.matmul(_spline_weights(height, self.num_cells), moves)
        shear = self.uniform(images, -self.shear, self.shear, size=2)[:, :, None, None]
        x = ops.arange(width, dtype="float32")[None, None, :]
        y = ops.arange(height, dtype="float32")[None, :, None]
        rows = y + moves[0] * height + shear[:, 0] * (x - (width - 1) / 2)
        columns = x + moves[1] * width + shear[:, 1] * (y - (height - 1) / 2)
        fill_value = self.fill_value if self.fill_mode == "constant" else None
        return sample_bilinear(images, rows, columns, fill_value=fill_value)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "displacement": self.displacement,
            "num_cells": self.num_cells,
            "shear": self.shear,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
        }


def _spline_weights(length, num_cells):
    """`[length, num_cells + 3]`: how much of each control point is in each pixel's movement."""
    # The first pixel lies on the second control point, the last on the last but one.
    position = np.arange(length) * num_cells / max(length - 1, 1)
    distance = np.abs(position[:, None] - (np.arange(num_cells + 3) - 1)[None])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far).astype("float32")
