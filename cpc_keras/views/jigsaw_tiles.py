"""Nine tiles of an image, in disorder."""

import keras
from keras import ops

from cpc_keras.augmentations import RandomGrayscale
from cpc_keras.views.permutation_set import permutation_set
from cpc_keras.views.tile_grid import TileGrid

# What tiles are scaled to: encoders expect pixels in [0, 255]. Two and a half deviations fit in.
TILE_MEAN, TILE_DEVIATION = 127.5, 51.0
# A tile of a single color is not blown up to noise.
SMALLEST_DEVIATION = 1.0


@keras.saving.register_keras_serializable("cpc_keras")
class JigsawTiles(TileGrid):
    """Puts the nine tiles of every image in disorder; which disorder it is is to be told.

    To put a puzzle together, one must know what its parts are parts of (Noroozi and Favaro 2016,
    arXiv:1603.09246). A permutation is drawn from a fixed set (`permutation_set`). What would tell
    neighbors without knowing is taken away (section 4.2): gaps and moves of the `TileGrid` that
    lines go on, the mean and the deviation of every channel of every tile that neighbors are alike
    bright, and the colors of three images in ten that they, and their chromatic aberration, are
    relied on. The paper's shifts of single color channels are left out. Drawn in evaluation as in
    training.

    Tiles leave with a mean of 127.5 and a deviation of 51 in each channel, cut to [0, 255], where
    encoders expect pixels; the paper's have 0 and 1.

    Args:
        tile_size, spacing, jitter, name: as for `TileGrid`.
        num_permutations: size of the set, the number of classes. The paper: 1000, also 100 and 701.
        grayscale_rate: share of the images that lose their colors.
        seed: integer, for the draws; the set is always that of seed 0.

    Call arguments:
        images: `[batch, height, width, channels]`, pixels in [0, 255].

    Returns:
        The tiles, float32 `[batch, 1, 9, tile_size, tile_size, channels]`: one copy of nine tiles,
        in the place i the tile that belongs in the place `permutations[label, i]`. And the labels,
        integers `[batch, 1]`, 0 to `num_permutations - 1`.

    Raises:
        ValueError: as `TileGrid` and `permutation_set`.

    Example:
        >>> views = JigsawTiles(7, spacing=10, jitter=3, num_permutations=100)
        >>> tiles, labels = views(np.zeros((2, 32, 32, 3)))
        >>> tiles.shape, labels.shape
        (TensorShape([2, 1, 9, 7, 7, 3]), TensorShape([2, 1]))
    """

    def __init__(
        self,
        tile_size: int,
        *,
        spacing: int,
        jitter: int = 0,
        num_permutations: int = 1000,
        grayscale_rate: float = 0.3,
        seed: int | None = None,
        name: str = "jigsaw_tiles",
        **kwargs,
    ):
        super().__init__(tile_size, spacing=spacing, jitter=jitter, seed=seed, name=name, **kwargs)
        self.permutations = permutation_set(num_permutations)
        self.num_classes = num_permutations
        # Another seed: from the same one, who turns grey would follow from the places.
        gray_seed = None if seed is None else seed + 1
        # By itself, the layer would round pixels under mixed precision.
        self.grayscale = RandomGrayscale(grayscale_rate, seed=gray_seed, autocast=False)

    def call(self, images):
        """Draw the puzzles."""
        images = ops.cast(ops.convert_to_tensor(images), "float32")
        tiles = _standardize(super().call(self.grayscale(images, training=True)))
        labels = self._integers((ops.shape(images)[0], 1), self.num_classes - 1)
        order = ops.take(ops.convert_to_tensor(self.permutations), labels[:, 0], axis=0)
        tiles = ops.take_along_axis(tiles, order[:, :, None, None, None], axis=1)
        return tiles[:, None], labels

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "num_permutations": self.num_classes,
            "grayscale_rate": self.grayscale.rate,
        }


def _standardize(tiles):
    mean = ops.mean(tiles, axis=(-3, -2), keepdims=True)
    deviation = ops.maximum(ops.std(tiles, axis=(-3, -2), keepdims=True), SMALLEST_DEVIATION)
    return ops.clip(TILE_MEAN + TILE_DEVIATION * (tiles - mean) / deviation, 0.0, 255.0)
