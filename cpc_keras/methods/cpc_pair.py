"""CPC of pairs."""

import keras

from cpc_keras.augmentations import image_augmentation as named_image_augmentation
from cpc_keras.models import PairModel
from cpc_keras.views import FramePair, TwoViews


def cpc_pair(
    image_shape: tuple[int, int, int] = (32, 32, 3),
    *,
    image_augmentation: str | keras.layers.Layer = "photos",
    frame_gap: int | None = None,
    seed: int | None = None,
    **options,
) -> PairModel:
    """Build the pair form of CPC (McAllester and Stratos 2018, arXiv:1811.04251, section 4).

    One encoder; the partner of an image is found among N by the softmax of inner products of codes:
    no prediction matrix, no temperature, no normalisation. The pair is two augmentations of one
    image, or two frames of a clip `frame_gap` frames apart. The papers fix neither an encoder nor
    an optimizer for it.

    Args:
        image_shape: `(height, width, channels)`.
        image_augmentation: what tells two views of an image apart: a name of
            `augmentations.image_augmentation` or a random layer that keeps the shape. Not used
            with `frame_gap`.
        frame_gap: make pairs of frames of clips `[batch, time, height, width, channels]`, so many
            frames apart (seconds times frames a second).
        seed: integer, for the frames that are drawn and for sampled candidates.
        **options: arguments of `PairModel`, for example
            `encoder="resnet18", similarity="cosine", scale=2.0, head=...` towards SimCLR.

    Returns:
        `PairModel`, not compiled.

    Raises:
        ValueError: as `PairModel`; an augmentation that leaves both views the image itself.

    Example:
        >>> cpc_pair((28, 28, 1), image_augmentation="digits", encoder="tiny").encoder.output_shape
        (None, 64)
        >>> cpc_pair((64, 64, 3), frame_gap=25, encoder="tiny").network.input_shape
        (None, None, 64, 64, 3)
    """
    if frame_gap is not None:
        views = FramePair(frame_gap, seed=seed)
    else:
        if isinstance(image_augmentation, str):
            image_augmentation = named_image_augmentation(image_augmentation, image_shape)
        views = TwoViews(image_augmentation)
    return PairModel(image_shape, views=views, seed=seed, **options)
