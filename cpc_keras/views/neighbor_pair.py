"""A tile and one of its eight neighbors."""

import keras
from keras import ops

from cpc_keras.augmentations import RandomChannelDrop
from cpc_keras.ops import cut_tiles
from cpc_keras.views.tile_grid import SIDE, TileGrid

CENTER = SIDE * SIDE // 2
NEIGHBORS = [place for place in range(SIDE * SIDE) if place != CENTER]


@keras.saving.register_keras_serializable("cpc_keras")
class NeighborPair(TileGrid):
    """Cuts two neighboring tiles out of every image; where the second lies is to be told.

    To tell whether a tile lies above or to the left of another, one must know what the two are
    parts of (Doersch et al. 2015, arXiv:1505.05192). The first is the middle one of a `TileGrid`,
    the second one of the eight around it. The gaps and moves of the grid take away that lines go on
    from one tile to the next; colors are dropped, since lenses bend them unequally, more so far
    from the center: chromatic aberration would tell where in the image a tile was (section 3.1).
    Of a tile one channel is kept, drawn for each tile, and copied into the others, which the paper
    fills with noise. Its reduction of some tiles to 100 pixels is left out. Drawn in evaluation as
    in training.

    Args:
        tile_size, spacing, jitter, seed, name: as for `TileGrid`.
        drop_color: whether to drop colors.

    Call arguments:
        images: `[batch, height, width, channels]`, pixels in [0, 255].

    Returns:
        The tiles, `[batch, 1, 2, tile_size, tile_size, channels]` in the dtype of the images: one
        copy of two tiles. And the labels, integers `[batch, 1]`: 0 to 7 for the second tile above
        left, above, above right, left, right, below left, below, below right of the first.

    Raises:
        ValueError: as `TileGrid`.

    Example:
        >>> tiles, labels = NeighborPair(7, spacing=11, jitter=1)(np.zeros((2, 32, 32, 3), "uint8"))
        >>> tiles.shape, labels.shape
        (TensorShape([2, 1, 2, 7, 7, 3]), TensorShape([2, 1]))
    """

    num_classes = len(NEIGHBORS)

    def __init__(
        self,
        tile_size: int,
        *,
        spacing: int,
        jitter: int = 0,
        drop_color: bool = True,
        seed: int | None = None,
        name: str = "neighbor_pair",
        **kwargs,
    ):
        super().__init__(tile_size, spacing=spacing, jitter=jitter, seed=seed, name=name, **kwargs)
        # Another seed: from the same one, the channels would follow from the places.
        color_seed = None if seed is None else seed + 1
        self.color_drop = None
        if drop_color:
            # By itself, the layer would round pixels under mixed precision.
            self.color_drop = RandomChannelDrop(seed=color_seed, autocast=False)

    def build(self, input_shape):
        """Build the layer that drops colors."""
        if self.color_drop is not None:
            self.color_drop.build((None, self.tile_size, self.tile_size, input_shape[-1]))

    def call(self, images):
        """Draw the pairs."""
        images = ops.convert_to_tensor(images)
        places = self.places(images)
        batch = ops.shape(images)[0]
        labels = self._integers((batch, 1), self.num_classes - 1)
        second = ops.take(ops.convert_to_tensor(NEIGHBORS, dtype="int32"), labels, axis=0)
        pair = ops.concatenate([ops.full((batch, 1), CENTER, dtype="int32"), second], axis=1)
        rows, columns = (ops.take_along_axis(line, pair, axis=1) for line in places)
        tiles = cut_tiles(images, rows, columns, tile_size=self.tile_size)
        if self.color_drop is not None:
            # Folded into the batch, so that each tile draws its own.
            shape = (-1, *tiles.shape[1:])
            tiles = self.color_drop(ops.reshape(tiles, (-1, *tiles.shape[2:])), training=True)
            tiles = ops.reshape(tiles, shape)
        return tiles[:, None], labels

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "drop_color": self.color_drop is not None}
