"""Classes and rotations, learned together."""

from cpc_keras.methods.supervised import supervised
from cpc_keras.models import SemiSupervisedModel
from cpc_keras.views import Rotations


def rotation_joint(
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    rotation_weight: float = 1.0,
    **options,
) -> SemiSupervisedModel:
    """Build S4L-Rotation (Zhai et al. 2019, arXiv:1905.03670, section 3.1).

    All images of a batch are turned by 0, 90, 180 and 270 degrees; which turn it was is to be told
    of all of them, and the class of the labelled ones in each turn. Logged as `task` and
    `task_accuracy`.

    Args:
        image_shape: `(side, side, channels)`.
        num_classes: number of classes.
        rotation_weight: factor of the rotations' cross-entropy (the paper: 1).
        **options: further arguments of `supervised`.

    Returns:
        `SemiSupervisedModel`, not compiled.

    Raises:
        ValueError: images that are not square; as `SemiSupervisedModel`.

    Example:
        >>> model = rotation_joint((32, 32, 3), 10, encoder="tiny")
        >>> model.network.output["task_logits"].shape
        (None, 4, 4)
    """
    return supervised(
        image_shape, num_classes, views=Rotations(), task_weight=rotation_weight, **options
    )
