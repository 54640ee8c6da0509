"""Rotation prediction."""

from cpc_keras.models import PretextModel
from cpc_keras.views import Rotations


def rotation(image_shape: tuple[int, int, int] = (224, 224, 3), **options) -> PretextModel:
    """Build rotation prediction (Gidaris et al. 2018, arXiv:1803.07728).

    Tells by which of four quarter turns an image was turned, all four copies of it in one batch; a
    dense layer from the features to the four classes. The paper's encoders are AlexNet and networks
    in networks, with batch normalisation, which is refused here. Recipe `"rotation_imagenet"`.

    Args:
        image_shape: `(side, side, channels)`; images must be square.
        **options: further arguments of `PretextModel`: `encoder`, `image_augmentation`, ... Images
            of things that have no upright, cells or digits 6 and 9, leave little to learn.

    Returns:
        `PretextModel`, not compiled.

    Raises:
        ValueError: as `PretextModel`; images that are not square.

    Example:
        >>> rotation((32, 32, 3), encoder="tiny").network.output["logits"].shape
        (None, 4, 4)
    """
    return PretextModel(image_shape, views=Rotations(), **options)
