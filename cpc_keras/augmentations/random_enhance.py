"""Random brightness, contrast, colour and sharpness."""

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer
from cpc_keras.ops import luminance

KINDS = ("brightness", "contrast", "color", "sharpness")


@keras.saving.register_keras_serializable("cpc_keras")
class RandomEnhance(RandomImageLayer):
    """Mixes each image with a dull copy of itself: `dull + factor * (image - dull)`.

    The four "enhancers" of Pillow that AutoAugment draws on (Cubuk et al. 2018, arXiv:1805.09501,
    table 6). A factor below 1 takes away, above 1 adds; 1 keeps the image. The dull copy is

    | kind | dull copy |
    |---|---|
    | `"brightness"` | black |
    | `"contrast"` | the mean grey value of the image, everywhere |
    | `"color"` | the grey image; images of one channel pass unchanged |
    | `"sharpness"` | the image smoothed by `[[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13`, border kept |

    Off at evaluation.

    Args:
        kind: one of the above.
        factor: smallest and largest factor, 0 or more, drawn evenly for each image.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` mixes.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: unknown kind, or factors that are negative or not in order.

    Example:
        >>> tuple(RandomEnhance("contrast", seed=0)(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(self, kind: str, factor: tuple[float, float] = (0.1, 1.9), *, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}. Received: {kind!r}.")
        if not 0 <= factor[0] <= factor[1]:
            raise ValueError(
                f"factor must be (smallest, largest), 0 or more. Received: {factor!r}."
            )
        self.kind = kind
        self.factor = tuple(factor)

    def augment(self, images):
        """Mix the images with their dull copies."""
        factor = self.uniform(images, *self.factor)
        if self.kind == "brightness":
            return factor * images
        if self.kind == "sharpness":
            return images + (factor - 1) * _detail(images)
        if self.kind == "color" and images.shape[-1] == 1:
            return images
        dull = luminance(images)
        if self.kind == "contrast":
            dull = ops.mean(dull, axis=(1, 2), keepdims=True)
        return dull + factor * (images - dull)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "kind": self.kind, "factor": self.factor}


def _detail(images):
    """What smoothing takes away; nothing on the border, where pixels lack neighbours."""
    if min(images.shape[1:3]) < 3:
        return ops.zeros_like(images)
    center = images[:, 1:-1, 1:-1]
    # The sum over 3x3 pixels as two sums over three: faster than a convolution of few channels.
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    detail = center - (box + 4 * center) / 13
    return ops.pad(detail, ((0, 0), (1, 1), (1, 1), (0, 0)))
