"""Random brightness, saturation, hue and contrast at once."""

import math

import keras
import numpy as np
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer
from cpc_keras.ops.luminance import LUMINANCE_WEIGHTS, luminance

# Rows: luminance and the two axes of the colour plane (YIQ).
YIQ = np.array([LUMINANCE_WEIGHTS, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
TO_GREY = np.tile(LUMINANCE_WEIGHTS, (3, 1)).astype("float32")
TO_COLOR = np.eye(3, dtype="float32") - TO_GREY
QUARTER_TURN = (np.linalg.inv(YIQ) @ np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ YIQ).astype(
    "float32"
)


@keras.saving.register_keras_serializable("cpc_keras")
class RandomColorJitter(RandomImageLayer):
    """Changes brightness, saturation, hue and contrast of each image.

    The colour distortion of the Inception networks (Szegedy et al. 2014, arXiv:1409.4842), with the
    ranges of its TensorFlow code, which CPC v2 applies to most patches (Henaff et al. 2019,
    arXiv:1905.09272). Drawn evenly, for each image: a value added to all pixels; a factor on the
    distance of each pixel from its grey value; an angle by which colours turn about the grey axis;
    a factor on the distance of each pixel from the mean of its channel. Values are clipped at the
    end only, which leaves nothing for the order to change.

    Saturation and hue are one 3x3 matrix an image, in the YIQ space, which keeps the grey value of
    every pixel; the code above goes through HSV, which is slower and keeps the largest channel.
    Images of one channel have no saturation and no hue, those of neither one nor three channels no
    hue. `keras.layers.RandomColorJitter` takes three channels only and draws saturations that leave
    [0, 255]. Off at evaluation.

    Args:
        brightness: largest value to add, to both sides, as a share of 255.
        contrast: largest change of that factor from 1, to both sides, in [0, 1].
        saturation: largest change of that factor from 1, to both sides, in [0, 1].
        hue: largest turn, to both sides, as a share of the circle.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` jitters.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> tuple(RandomColorJitter(seed=0)(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        brightness: float = 32 / 255,
        *,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 0.2,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        for name in ("brightness", "contrast", "saturation", "hue"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1]. Received: {getattr(self, name)!r}.")

    def augment(self, images):
        """Change the colours."""
        images = images + self.uniform(images, -self.brightness, self.brightness) * 255.0
        saturation = self.uniform(images, 1 - self.saturation, 1 + self.saturation)
        turn = self.uniform(images, -self.hue, self.hue) * (2 * math.pi)
        contrast = self.uniform(images, 1 - self.contrast, 1 + self.contrast)
        if images.shape[-1] == 3:
            # Tensors: PyTorch's do not go with arrays.
            to_grey, to_color, quarter_turn = map(
                ops.convert_to_tensor, (TO_GREY, TO_COLOR, QUARTER_TURN)
            )
            color = ops.cos(turn) * to_color + ops.sin(turn) * quarter_turn
            matrix = (to_grey + saturation * color)[:, 0]  # [batch, 3, 3]
            pixels = ops.reshape(images, (-1, images.shape[1] * images.shape[2], 3))
            pixels = ops.matmul(pixels, ops.transpose(matrix, (0, 2, 1)))
            images = ops.reshape(pixels, (-1, *images.shape[1:]))
        elif images.shape[-1] > 1:
            grey = luminance(images)
            images = grey + saturation * (images - grey)
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        return mean + contrast * (images - mean)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "brightness": self.brightness,
            "contrast": self.contrast,
            "saturation": self.saturation,
            "hue": self.hue,
        }
