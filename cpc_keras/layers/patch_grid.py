"""Images to a grid of patches."""

import keras

from cpc_keras.ops.extract_patches import extract_patches
from cpc_keras.ops.grid_shape import grid_shape


@keras.saving.register_keras_serializable("cpc_keras")
class PatchGrid(keras.layers.Layer):
    """Cuts images into a grid of overlapping square patches.

    The first step of CPC on images (van den Oord et al. 2018, arXiv:1807.03748, section 3.2; CPC
    v2, Henaff et al. 2019, arXiv:1905.09272): every patch is then encoded alone.

    Args:
        patch_size: side of a patch, in pixels.
        patch_stride: step between patches, in pixels. Half of `patch_size` is usual.

    Call arguments:
        inputs: images, `[batch, height, width, channels]`.

    Returns:
        `[batch, rows, columns, patch_size, patch_size, channels]`.

    Raises:
        ValueError: the image sides give no whole grid; the nearest that do are named.

    Example:
        >>> tuple(PatchGrid(8, 4)(np.zeros((2, 32, 32, 3))).shape)
        (2, 7, 7, 8, 8, 3)
    """

    def __init__(self, patch_size: int, patch_stride: int, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size
        self.patch_stride = patch_stride

    def call(self, inputs):
        """Cut the images."""
        return extract_patches(inputs, patch_size=self.patch_size, patch_stride=self.patch_stride)

    def compute_output_shape(self, input_shape):
        """Return `(batch, rows, columns, patch_size, patch_size, channels)`."""
        batch, height, width, channels = input_shape
        grid = grid_shape(
            (height, width), patch_size=self.patch_size, patch_stride=self.patch_stride
        )
        return (batch, *grid, self.patch_size, self.patch_size, channels)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "patch_size": self.patch_size,
            "patch_stride": self.patch_stride,
        }
