"""Random rotations, shears and translations."""

import math

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer
from cpc_keras.ops import sample_bilinear


@keras.saving.register_keras_serializable("cpc_keras")
class RandomAffine(RandomImageLayer):
    """Rotates, shears and moves each image of a batch, about its centre, in one bilinear reading.

    The pixel at (x, y) from the centre is read at `R(angle) @ [[1, a], [b, 1]] @ (x, y) + (u, v)`,
    where angle, shears a and b and translations u and v are drawn evenly from the ranges below, for
    each image and axis anew. The ranges of AutoAugment (Cubuk et al. 2018, arXiv:1805.09501, table
    6; Pillow shears about the corner there, which is the same shear and a translation): rotation
    30 degrees, shear 0.3. Off at evaluation.

    Args:
        rotation: largest angle, in degrees, to both sides.
        shear: largest shear, to both sides: pixels along one axis a pixel along the other. One
            number for both axes, or `(along_x, along_y)`.
        translation: largest translation, to both sides, as a share of the side. One number, or
            `(along_x, along_y)`.
        fill_mode: what comes in from outside: "nearest" pixel or "constant".
        fill_value: that constant.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` moves.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: ranges below 0, or an unknown `fill_mode`.

    Example:
        >>> layer = RandomAffine(rotation=30, shear=(0.3, 0.0), seed=0)
        >>> tuple(layer(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        rotation: float = 0.0,
        *,
        shear: float | tuple[float, float] = 0.0,
        translation: float | tuple[float, float] = 0.0,
        fill_mode: str = "nearest",
        fill_value: float = 0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.rotation = rotation
        self.shear = _pair(shear)
        self.translation = _pair(translation)
        if min(rotation, *self.shear, *self.translation) < 0:
            raise ValueError(
                "rotation, shear and translation say how far to go to both sides: >= 0. "
                f"Received: rotation={rotation!r}, shear={shear!r}, translation={translation!r}."
            )
        if fill_mode not in ("nearest", "constant"):
            raise ValueError(f'fill_mode must be "nearest" or "constant". Received: {fill_mode!r}.')
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def augment(self, images):
        """Move the pixels."""
        _, height, width, _ = images.shape
        draws = self.uniform(images, -1.0, 1.0, size=5)[:, :, None, None]
        angle = draws[:, 0] * math.radians(self.rotation)
        x = ops.arange(width, dtype="float32")[None, None, :] - (width - 1) / 2
        y = ops.arange(height, dtype="float32")[None, :, None] - (height - 1) / 2
        sheared_x = x + draws[:, 1] * self.shear[0] * y
        sheared_y = y + draws[:, 2] * self.shear[1] * x
        cosine, sine = ops.cos(angle), ops.sin(angle)
        columns = cosine * sheared_x - sine * sheared_y
        rows = sine * sheared_x + cosine * sheared_y
        columns = columns + draws[:, 3] * self.translation[0] * width + (width - 1) / 2
        rows = rows + draws[:, 4] * self.translation[1] * height + (height - 1) / 2
        fill_value = self.fill_value if self.fill_mode == "constant" else None
        return sample_bilinear(images, rows, columns, fill_value=fill_value)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "rotation": self.rotation,
            "shear": self.shear,
            "translation": self.translation,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
        }


def _pair(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)
