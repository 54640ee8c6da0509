"""Random tone curves."""

import keras
import numpy as np
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer

# Uniform cubic B-spline: coefficients of 1, u, u^2, u^3 by four neighbouring control points.
B_SPLINE = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]], "float32").T / 6


@keras.saving.register_keras_serializable("cpc_keras")
class RandomToneCurve(RandomImageLayer):
    """Maps the values of each channel of each image through its own smooth, rising random curve.

    What CPC v2 (Henaff et al. 2019, arXiv:1905.09272) calls the colour histogram transformations of
    De Fauw et al. 2018 (Nature Medicine 24; code: multidim-image-augmentation): it changes the
    histogram, and does not equalise it. With values in [0, 1], the new black is drawn from
    `[-shift, shift]` and the new white from `[1 - shift, 1 + shift]`; then, `num_insertions` times,
    a control point is put halfway between each two neighbours, drawn evenly from the values that
    keep the slope to both in `slope`. A cubic B-spline of these points is the curve, whose slope
    stays in that range too; it begins and ends at the new black and white. The magnitudes of CPC v2
    are not published; the defaults are the example's of that code. Off at evaluation.

    Args:
        shift: how far black and white may move, in [0, 0.5), as a share of the range.
        slope: smallest and largest slope of the curve.
        num_insertions: 1 or more; the curve gets `2 ** num_insertions` pieces.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` maps.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: a `slope` that a straight line from the new black to the new white could leave.

    Example:
        >>> tuple(RandomToneCurve(seed=0)(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        shift: float = 0.1,
        *,
        slope: tuple[float, float] = (0.5, 2.0),
        num_insertions: int = 2,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        if not 0 <= shift < 0.5:
            raise ValueError(f"shift must be in [0, 0.5). Received: {shift!r}.")
        if not 0 <= slope[0] <= 1 - 2 * shift or not 1 + 2 * shift <= slope[1]:
            raise ValueError(
                f"With shift={shift!r} the curve's mean slope is anything from {1 - 2 * shift:g} "
                f"to {1 + 2 * shift:g}, and slope must hold all that. Received: slope={slope!r}. "
                "Widen slope or take a smaller shift."
            )
        if not isinstance(num_insertions, int) or num_insertions < 1:
            raise ValueError(
                f"num_insertions must be a whole number >= 1. Received: {num_insertions!r}."
            )
        self.shift = shift
        self.slope = tuple(slope)
        self.num_insertions = num_insertions

    def augment(self, images):
        """Map the values."""
        num_pieces, channels = 2**self.num_insertions, images.shape[-1]
        pieces = ops.reshape(self.curve_pieces(images), (-1, 1, 1, channels, num_pieces, 4))
        position = images * (num_pieces / 255.0)
        constant, linear, square, cube = (pieces[..., 0, k] for k in range(4))
        result = constant + position * (linear + position * (square + position * cube))
        # Two pieces of a cubic spline that meet differ in the cubic term alone, so that it can be
        # added where it changes: faster than to fetch each pixel's piece.
        for k in range(1, num_pieces):
            beyond = ops.relu(position - k)
            change = pieces[..., k, 3] - pieces[..., k - 1, 3]
            result = result + change * (beyond * beyond * beyond)
        return 255.0 * result

    def curve_pieces(self, images):
        """Draw curves: `[batch * channels * pieces, 4]`, the coefficients of 1, u, u^2, u^3."""
        curves = ops.shape(images)[0] * images.shape[-1]

        def uniform(shape):
            return keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)

        points = (2 * uniform((curves, 2)) - 1) * self.shift + ops.convert_to_tensor(
            [0, 1], "float32"
        )
        for insertion in range(self.num_insertions):
            step = 0.5 ** (insertion + 1)
            low, high = self.slope[0] * step, self.slope[1] * step
            left, right = points[:, :-1], points[:, 1:]
            smallest = ops.maximum(left + low, right - high)
            largest = ops.minimum(left + high, right - low)
            middle = smallest + (largest - smallest) * uniform((curves, 2**insertion))
            between = ops.reshape(ops.stack([left, middle], axis=-1), (-1, 2 ** (insertion + 1)))
            points = ops.concatenate([between, points[:, -1:]], axis=1)
        # A point beyond each end, on the line through the last two: the curve ends at the last.
        before = 2 * points[:, :1] - points[:, 1:2]
        after = 2 * points[:, -1:] - points[:, -2:-1]
        points = ops.concatenate([before, points, after], axis=1)
        num_pieces = 2**self.num_insertions
        windows = ops.stack([points[:, k : k + num_pieces] for k in range(4)], axis=-1)
        return ops.matmul(ops.reshape(windows, (-1, 4)), B_SPLINE)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "shift": self.shift,
            "slope": self.slope,
            "num_insertions": self.num_insertions,
        }
