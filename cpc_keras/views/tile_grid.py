"""Nine tiles of an image, apart from each other."""

import keras
from keras import ops

from cpc_keras.ops import cut_tiles

SIDE = 3  # tiles in a row and in a column


@keras.saving.register_keras_serializable("cpc_keras")
class TileGrid(keras.layers.Layer):
    """Cuts nine tiles, three by three, out of every image, with gaps between them.

    The grid lies anywhere in the image, and each tile is moved by itself by up to `jitter` pixels
    down and to the right. Two tiles are thus at least `spacing - tile_size - jitter` pixels apart:
    were they to touch, lines that go on across the border would give their places away, and at one
    fixed distance lines could be continued across the gap (Doersch et al. 2015, arXiv:1505.05192,
    section 3.1; Noroozi and Favaro 2016, arXiv:1603.09246, section 4.2). Drawn in evaluation as in
    training. `NeighborPair` and `JigsawTiles` make tasks of it.

    Args:
        tile_size: side of a tile, in pixels.
        spacing: pixels from one place of the grid to the next.
        jitter: how many pixels a tile may be moved; at most `spacing - tile_size`.
        seed: integer, for the draws.
        name: name of the layer.

    Call arguments:
        images: `[batch, height, width, channels]`, pixels in [0, 255].

    Returns:
        `[batch, 9, tile_size, tile_size, channels]`, the rows of the grid one after the other, in
        the dtype of the images.

    Raises:
        ValueError: tiles that could overlap, or images that are too small for the grid.

    Example:
        >>> TileGrid(7, spacing=10, jitter=3)(np.zeros((2, 32, 32, 3), "uint8")).shape
        TensorShape([2, 9, 7, 7, 3])
    """

    def __init__(
        self,
        tile_size: int,
        *,
        spacing: int,
        jitter: int = 0,
        seed: int | None = None,
        name: str = "tile_grid",
        **kwargs,
    ):
        # Pixels stay as they are under mixed precision too: the encoder decides what to round.
        super().__init__(name=name, autocast=False, **kwargs)
        if tile_size < 1 or jitter < 0 or tile_size + jitter > spacing:
            raise ValueError(
                f"{type(self).__name__}: expected tile_size >= 1, jitter >= 0 and tile_size + "
                f"jitter <= spacing, so that tiles never overlap. Received: tile_size={tile_size}, "
                f"jitter={jitter}, spacing={spacing}. Use a spacing of about 1.3 tiles or more."
            )
        self.tile_size, self.spacing, self.jitter = tile_size, spacing, jitter
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def places(self, images):
        """Draw where the tiles lie.

        Returns:
            Row and column of the upper left pixels, integers `[batch, 9]` each.
        """
        span = (SIDE - 1) * self.spacing + self.tile_size + self.jitter
        if len(images.shape) != 4 or min(images.shape[1:3]) < span:
            raise ValueError(
                f"{type(self).__name__} with tile_size={self.tile_size}, spacing={self.spacing} "
                f"and jitter={self.jitter} takes images [batch, height, width, channels] of at "
                f"least {span}x{span} pixels. Received shape {tuple(images.shape)}. Use larger "
                "images or smaller tiles."
            )
        batch = ops.shape(images)[0]
        found = []
        for axis, side in enumerate(images.shape[1:3]):
            index = [divmod(place, SIDE)[axis] * self.spacing for place in range(SIDE * SIDE)]
            corner = self._integers((batch, 1), side - span)
            moved = self._integers((batch, SIDE * SIDE), self.jitter)
            found.append(corner + ops.convert_to_tensor(index, dtype="int32") + moved)
        return found

    def call(self, images):
        """Cut the tiles."""
        images = ops.convert_to_tensor(images)
        return cut_tiles(images, *self.places(images), tile_size=self.tile_size)

    def _integers(self, shape, largest):
        return keras.random.randint(shape, 0, largest + 1, seed=self.seed_generator)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "tile_size": self.tile_size,
            "spacing": self.spacing,
            "jitter": self.jitter,
            "seed": self.seed,
        }
