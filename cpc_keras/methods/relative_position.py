"""Relative position prediction."""

from collections.abc import Sequence

from cpc_keras.methods.is_small import is_small
from cpc_keras.models import PretextModel
from cpc_keras.views import NeighborPair

# The paper's tiles of 96 pixels, 48 apart, moved by up to 7 pixels to each side, span 398 pixels.
TILE_SIZE, SPACING, JITTER = 96, 96 + 48, 2 * 7
SPAN = 2 * SPACING + TILE_SIZE + JITTER


def relative_position(
    image_shape: tuple[int, int, int] = (548, 548, 3),
    *,
    tile_size: int | None = None,
    spacing: int | None = None,
    jitter: int | None = None,
    drop_color: bool = True,
    hidden_dims: Sequence[int] | None = None,
    seed: int | None = None,
    **options,
) -> PretextModel:
    """Build relative position prediction (Doersch et al. 2015, arXiv:1505.05192).

    Tells at which of eight places around a tile another tile of the same image lies. Both go
    through one encoder; their codes, side by side, through hidden layers. The paper's encoder is
    like AlexNet. Recipe `"relative_position_imagenet"`.

    Args:
        image_shape: `(height, width, channels)`.
        tile_size: side of a tile, in pixels. Default: 96, as in the paper, or of images whose
            shorter side is below 398 pixels the same share of it: 7 of 32, 15 of 64, 23 of 96.
        spacing: pixels from one tile's place to the next; default alike, 144 of 398: gaps of half
            a tile.
        jitter: range of pixels that a tile is moved over; default alike, 14 of 398.
        drop_color: keep one color channel of each tile; see `views.NeighborPair`.
        hidden_dims: hidden layers between codes and classes. Default: two of 4096, as in the paper
            (figure 3), or one of 512 for sides up to 64.
        seed: integer, for the draws.
        **options: further arguments of `PretextModel`: `encoder`, `image_augmentation`, ...

    Returns:
        `PretextModel`, not compiled.

    Raises:
        ValueError: as `PretextModel` and `NeighborPair`.

    Example:
        >>> model = relative_position((32, 32, 3), encoder="tiny")
        >>> model.tower.input_shape, model.network.output["logits"].shape
        ((None, 7, 7, 3), (None, 1, 8))
    """
    side = min(image_shape[:2])

    def scaled(pixels):
        return max(1, pixels * min(side, SPAN) // SPAN)

    if hidden_dims is None:
        hidden_dims = (512,) if is_small(image_shape) else (4096, 4096)
    views = NeighborPair(
        scaled(TILE_SIZE) if tile_size is None else tile_size,
        spacing=scaled(SPACING) if spacing is None else spacing,
        jitter=scaled(JITTER) if jitter is None else jitter,
        drop_color=drop_color,
        seed=seed,
    )
    return PretextModel(image_shape, views=views, hidden_dims=hidden_dims, seed=seed, **options)
