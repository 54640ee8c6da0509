"""Instance discrimination."""

import keras

from cpc_keras.methods.encoder_or_resnet50 import encoder_or_resnet50
from cpc_keras.models import InstanceModel

# Up to so many images the softmax over all of them costs less than a small encoder.
FULL_SOFTMAX_UP_TO = 100_000


def instance_discrimination(
    image_shape: tuple[int, int, int] = (224, 224, 3),
    *,
    num_images: int,
    encoder: str | keras.Model | None = None,
    normalization: str | None = None,
    num_negatives: int | str | None = "auto",
    temperature: float | None = None,
    image_augmentation: str | keras.layers.Layer | None = "instance",
    **options,
) -> InstanceModel:
    """Build instance discrimination (Wu et al. 2018, arXiv:1805.01978).

    Every image is a class of its own, told from all others by a memory bank of codes. Batches must
    hold the "index" of each image, as `data.image_batches` gives it. The paper's encoder is
    ResNet-50 (ResNet-18 for CIFAR-10) with batch normalisation, which is refused here; codes are
    normalised over the batch in its place (`normalize_codes`). Recipe
    `"instance_discrimination_imagenet"`.

    Args:
        image_shape: `(height, width, channels)`.
        num_images: how many images will be trained on.
        encoder: as for `InstanceModel`. Default: ResNet-50 of four stages, 2048 features.
        normalization: of named encoders and the default; see `InstanceModel`.
        num_negatives: how many others an image is told from in each step, by noise-contrastive
            estimation; `None`: all, by the softmax. "auto": all up to 100,000 images, 4096 for
            more (the paper's number for ImageNet).
        temperature: divisor of the cosines. Default: 0.07 (section 4), with the softmax over all
            0.1 (section 4.1, CIFAR-10).
        image_augmentation: layer, or a name of `augmentations.image_augmentation`, applied in
            training; `None`: nothing.
        **options: further arguments of `InstanceModel`: `dim`, `proximal_weight`, ...

    Returns:
        `InstanceModel`, not compiled.

    Raises:
        ValueError: as `InstanceModel`.

    Example:
        >>> model = instance_discrimination((32, 32, 3), num_images=50_000, encoder="tiny")
        >>> tuple(model.bank.directions.shape), model.temperature
        ((50000, 128), 0.1)
    """
    if num_negatives == "auto":
        num_negatives = None if num_images <= FULL_SOFTMAX_UP_TO else 4096
    if temperature is None:
        temperature = 0.1 if num_negatives is None else 0.07
    encoder, normalization = encoder_or_resnet50(
        encoder, image_shape, normalization=normalization, dtype=options.get("dtype")
    )
    return InstanceModel(
        image_shape,
        num_images=num_images,
        encoder=encoder,
        normalization=normalization,
        num_negatives=num_negatives,
        temperature=temperature,
        image_augmentation=image_augmentation,
        **options,
    )
