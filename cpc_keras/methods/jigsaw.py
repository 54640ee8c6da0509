"""Jigsaw puzzles."""

from collections.abc import Sequence

from cpc_keras.methods.is_small import is_small
from cpc_keras.models import PretextModel
from cpc_keras.views import JigsawTiles

# Tiles of 64 pixels anywhere in the nine cells of 85 of a 255 pixel crop, the form of later
# implementations. The paper's figure 3 crops 225 pixels into cells of 75, for tiles of 64.
TILE_SIZE, CELL_SIZE = 64, 85


def jigsaw(
    image_shape: tuple[int, int, int] = (255, 255, 3),
    *,
    tile_size: int | None = None,
    num_permutations: int | None = None,
    grayscale_rate: float = 0.3,
    hidden_dims: Sequence[int] | None = None,
    seed: int | None = None,
    **options,
) -> PretextModel:
    """Build jigsaw puzzles (Noroozi and Favaro 2016, arXiv:1603.09246).

    Tells which of a fixed set of permutations nine tiles of an image were put in. All go through
    one encoder; their codes, side by side, through a hidden layer. The paper's encoder is like
    AlexNet. Recipe `"jigsaw_imagenet"`.

    Args:
        image_shape: `(height, width, channels)`; a third of the shorter side is a cell.
        tile_size: side of a tile, which lies anywhere in its cell, in pixels. Default: 64 of a cell
            of 85 pixels, as later implementations have it, and the same share of smaller and larger
            ones: 7 of 10 in images of 32 pixels, 15 of 21 in those of 64. The paper's figure 3 has
            64 of 75: gaps half as wide.
        num_permutations: size of the set. Default: 1000, as in the paper, or 100 for sides up to
            64.
        grayscale_rate: share of the images that lose their colors.
        hidden_dims: hidden layers between codes and classes. Default: one of 4096, as in the paper
            (fc7), or of 512 for sides up to 64.
        seed: integer, for the draws.
        **options: further arguments of `PretextModel`: `encoder`, `image_augmentation`, ...

    Returns:
        `PretextModel`, not compiled.

    Raises:
        ValueError: as `PretextModel` and `JigsawTiles`.

    Example:
        >>> model = jigsaw((32, 32, 3), encoder="tiny")
        >>> model.tower.input_shape, model.network.output["logits"].shape
        ((None, 7, 7, 3), (None, 1, 100))
    """
    side = min(image_shape[:2])
    cell = side // 3
    tile_size = cell * TILE_SIZE // CELL_SIZE if tile_size is None else tile_size
    if num_permutations is None:
        num_permutations = 100 if is_small(image_shape) else 1000
    if hidden_dims is None:
        hidden_dims = (512,) if is_small(image_shape) else (4096,)
    views = JigsawTiles(
        tile_size,
        spacing=cell,
        jitter=cell - tile_size,
        num_permutations=num_permutations,
        grayscale_rate=grayscale_rate,
        seed=seed,
    )
    return PretextModel(image_shape, views=views, hidden_dims=hidden_dims, seed=seed, **options)
