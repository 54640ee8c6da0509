"""Images turned by quarter turns."""

import keras
from keras import ops

from cpc_keras.ops import rotate_grid

# Quarter turns against the clock, none first, by the side that comes to point down.
QUARTER_TURNS = ("down", "left", "up", "right")


@keras.saving.register_keras_serializable("cpc_keras")
class Rotations(keras.layers.Layer):
    """Turns every image by 0, 90, 180 and 270 degrees against the clock; the turn is to be told.

    To tell them, one must know what things look like upright. All four copies of an image are in
    one batch, which works better than one turn drawn at random (Gidaris et al. 2018,
    arXiv:1803.07728, section 3.1). Pixels are moved, never interpolated: nothing but the content
    gives the turn away. Nothing is drawn at random.

    Args:
        name: name of the layer.

    Call arguments:
        images: `[batch, side, side, channels]`, any dtype.

    Returns:
        The tiles, `[batch, 4, 1, side, side, channels]` in the dtype of the images: four copies,
        each of one tile. And their labels, integers `[batch, 4]`: the number of quarter turns, 0 to
        3.

    Raises:
        ValueError: images that are not square: their shape would give the turn away.

    Example:
        >>> tiles, labels = Rotations()(np.arange(4).reshape(1, 2, 2, 1))
        >>> np.asarray(tiles)[0, 1, 0, :, :, 0].tolist(), np.asarray(labels).tolist()
        ([[1, 3], [0, 2]], [[0, 1, 2, 3]])
    """

    num_classes = len(QUARTER_TURNS)

    def __init__(self, name: str = "rotations", **kwargs):
        # Pixels stay as they are under mixed precision too: the encoder decides what to round.
        super().__init__(name=name, autocast=False, **kwargs)

    def call(self, images):
        """Turn the images."""
        images = ops.convert_to_tensor(images)
        if len(images.shape) != 4 or images.shape[1] != images.shape[2]:
            raise ValueError(
                "Rotations takes square images [batch, side, side, channels]: of others the shape "
                f"gives the turn away. Received shape {tuple(images.shape)}. Crop or resize the "
                "images, for example with image_size= or crop_size=."
            )
        turned = ops.stack([rotate_grid(images, side) for side in QUARTER_TURNS], axis=1)
        first = ops.zeros((ops.shape(images)[0], 1), dtype="int32")
        return turned[:, :, None], first + ops.arange(self.num_classes, dtype="int32")
