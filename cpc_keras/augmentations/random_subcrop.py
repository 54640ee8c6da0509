"""Random sub-crops, padded back."""

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer


@keras.saving.register_keras_serializable("cpc_keras")
class RandomSubcrop(RandomImageLayer):
    """Cuts a random square out of each image and pads it back to the image's size.

    CPC v1's augmentation of patches: 60x60 pixels out of 64x64 (van den Oord et al. 2018,
    arXiv:1807.03748). The crop lands in the middle, so that its content moves by up to half of the
    difference to each side. How the paper pads is not said: "nearest" repeats the crop's border,
    "constant" frames it. `RandomShift` moves in the same way and loses fewer pixels. Pixels are
    copied, not interpolated. Off at evaluation.

    Args:
        crop_size: side of the crop, in pixels, at least 1 and at most the image's sides.
        fill_mode: "nearest" or "constant".
        fill_value: that constant.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` crops.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: a crop of no pixels or larger than the image, or an unknown `fill_mode`.

    Example:
        >>> tuple(RandomSubcrop(7, seed=0)(np.zeros((2, 8, 8, 1)), training=True).shape)
        (2, 8, 8, 1)
    """

    def __init__(
        self,
        crop_size: int,
        *,
        fill_mode: str = "nearest",
        fill_value: float = 0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        if not isinstance(crop_size, int) or crop_size < 1:
            raise ValueError(f"crop_size must be a whole number >= 1. Received: {crop_size!r}.")
        if fill_mode not in ("nearest", "constant"):
            raise ValueError(f'fill_mode must be "nearest" or "constant". Received: {fill_mode!r}.')
        self.crop_size = crop_size
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def augment(self, images):
        """Crop and pad back."""
        _, height, width, channels = images.shape
        size = self.crop_size
        if size > min(height, width):
            raise ValueError(
                f"RandomSubcrop: no {size}x{size} crop fits into images of {height}x{width} "
                f"pixels. Use crop_size <= {min(height, width)}."
            )
        batch = ops.shape(images)[0]
        lines, inside = [], []
        for side in (height, width):
            corner = keras.random.randint((batch, 1), 0, side - size + 1, seed=self.seed_generator)
            place = ops.arange(side) - (side - size) // 2
            lines.append(corner + ops.clip(place, 0, size - 1)[None])
            inside.append((place >= 0) & (place < size))
        image = ops.arange(batch)[:, None, None] * (height * width)
        index = image + lines[0][:, :, None] * width + lines[1][:, None, :]
        cropped = ops.take(ops.reshape(images, (-1, channels)), index, axis=0)
        if self.fill_mode == "nearest":
            return cropped
        kept = (inside[0][:, None] & inside[1][None, :])[None, :, :, None]
        return ops.where(kept, cropped, self.fill_value)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "crop_size": self.crop_size,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
        }
