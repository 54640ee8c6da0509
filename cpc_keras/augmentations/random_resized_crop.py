"""Random parts of images, resized to the whole."""

import math

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer
from cpc_keras.ops import sample_bilinear


@keras.saving.register_keras_serializable("cpc_keras")
class RandomResizedCrop(RandomImageLayer):
    """Cuts a random part out of each image and resizes it to the image's size.

    The part covers a share of the area that is drawn evenly from `area`, with a ratio of width to
    height whose logarithm is drawn evenly from `aspect_ratio`, anywhere in the image: the crop of
    the Inception networks (Szegedy et al. 2014, arXiv:1409.4842), SimCLR's most important
    augmentation (Chen et al. 2020, arXiv:2002.05709, appendix A). A side that would exceed the
    image's is cut to it, where the paper's code draws again. Bilinear, without antialiasing. Off at
    evaluation.

    Args:
        area: smallest and largest share of the image's area, in (0, 1].
        aspect_ratio: smallest and largest width / height, relative to the image's own.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` crops.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: ranges that are empty or go beyond the above.

    Example:
        >>> layer = RandomResizedCrop((0.2, 1.0), seed=0)
        >>> tuple(layer(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        area: tuple[float, float] = (0.08, 1.0),
        *,
        aspect_ratio: tuple[float, float] = (3 / 4, 4 / 3),
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.area, self.aspect_ratio = tuple(area), tuple(aspect_ratio)
        if len(self.area) != 2 or not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(
                "area must be the smallest and the largest share of the image, in (0, 1]. "
                f"Received: {area!r}."
            )
        if len(self.aspect_ratio) != 2 or not 0 < self.aspect_ratio[0] <= self.aspect_ratio[1]:
            raise ValueError(
                "aspect_ratio must be the smallest and the largest width / height, greater than 0. "
                f"Received: {aspect_ratio!r}."
            )

    def augment(self, images):
        """Cut and resize."""
        _, height, width, _ = images.shape
        share = self.uniform(images, *self.area)[..., 0]
        ratio = ops.exp(self.uniform(images, *map(math.log, self.aspect_ratio))[..., 0])
        rows = height * ops.minimum(ops.sqrt(share / ratio), 1.0)
        columns = width * ops.minimum(ops.sqrt(share * ratio), 1.0)
        corner = self.uniform(images, 0.0, 1.0, size=2)[:, :, None, None]
        # Pixels are areas: the centre of the first is half a pixel inside.
        y = (ops.arange(height, dtype="float32")[None, :, None] + 0.5) / height
        x = (ops.arange(width, dtype="float32")[None, None, :] + 0.5) / width
        top, left = corner[:, 0] * (height - rows), corner[:, 1] * (width - columns)
        grid = ops.zeros((1, height, width))
        return sample_bilinear(images, top + rows * y - 0.5 + grid, left + columns * x - 0.5 + grid)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "area": self.area, "aspect_ratio": self.aspect_ratio}
