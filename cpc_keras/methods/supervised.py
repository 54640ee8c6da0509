"""The baseline of methods that use unlabelled images."""

import keras

from cpc_keras.augmentations import image_augmentation as named_image_augmentation
from cpc_keras.methods.encoder_or_resnet50 import encoder_or_resnet50
from cpc_keras.models import SemiSupervisedModel


def supervised(
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    image_augmentation: str | keras.layers.Layer | None = None,
    encoder: str | keras.Model | None = None,
    normalization: str | None = None,
    seed: int | None = None,
    **options,
) -> SemiSupervisedModel:
    """Build a classifier that learns from labels alone, the row that the others must beat.

    The network of `pseudo_label`, `vat` and `rotation_joint`, which are this and a term. Zhai et
    al. (2019, arXiv:1905.03670, section 6) found that a well-tuned one, at 1 and 10 % of ImageNet's
    labels, beats much of what had been published: tune it as the others.

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: number of classes.
        image_augmentation: a name of `augmentations.image_augmentation`, a random layer that keeps
            the shape, or `None` for none.
        encoder: as for `SemiSupervisedModel`. Default: ResNet-50 of four stages (S4L's, which is
            four times as wide), with one-group normalization in place of that of batches.
        normalization: of named encoders and the default; see `SemiSupervisedModel`.
        seed: integer, for the augmentation.
        **options: further arguments of `SemiSupervisedModel`.

    Returns:
        `SemiSupervisedModel`, not compiled.

    Raises:
        ValueError: as `SemiSupervisedModel`.

    Example:
        >>> supervised((32, 32, 3), 10, encoder="tiny").classifier.output_shape
        (None, 10)
    """
    if isinstance(image_augmentation, str):
        image_augmentation = named_image_augmentation(image_augmentation, image_shape, seed=seed)
    encoder, normalization = encoder_or_resnet50(
        encoder, image_shape, normalization=normalization, dtype=options.get("dtype")
    )
    return SemiSupervisedModel(
        image_shape,
        num_classes,
        encoder=encoder,
        normalization=normalization,
        image_augmentation=image_augmentation,
        **options,
    )
