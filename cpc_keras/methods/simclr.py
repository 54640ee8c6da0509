"""SimCLR."""

import keras
from keras import layers

from cpc_keras.augmentations import image_augmentation as named_image_augmentation
from cpc_keras.encoders import patch_encoder
from cpc_keras.layers.dtype_scope import dtype_scope
from cpc_keras.methods.encoder_or_resnet50 import encoder_or_resnet50
from cpc_keras.methods.is_small import is_small
from cpc_keras.models import PairModel
from cpc_keras.views import TwoViews


def simclr(
    image_shape: tuple[int, int, int] = (224, 224, 3),
    *,
    image_augmentation: str | keras.layers.Layer | None = None,
    encoder: str | keras.Model | None = None,
    normalization: str | None = None,
    temperature: float | None = None,
    projection_dim: int = 128,
    seed: int | None = None,
    **options,
) -> PairModel:
    """Build SimCLR (Chen et al. 2020, arXiv:2002.05709).

    Two augmentations of each image, one encoder, a projection head of two dense layers in training
    alone, and NT-Xent over all 2 N views. Differs from the paper in the normalization of the
    encoder: batch statistics tell which views came together, which the paper hides by gathering
    them over all devices; here they are refused and one-group normalization takes their place.
    Train it with `training.LARS`, as recipe `"simclr_imagenet"` does.

    Args:
        image_shape: `(height, width, channels)`.
        image_augmentation: a name of `augmentations.image_augmentation` or a random layer that
            keeps the shape. Default: "simclr", or "simclr_small" for sides up to 64 (the paper's
            appendices A and B.9).
        encoder: as for `PairModel`. Default: ResNet-50 of four stages, 2048 features (section 2.1;
            its 3x3 stem without pooling for small images, appendix B.9).
        normalization: of named encoders and the default; see `PairModel`.
        temperature: divisor of the cosines. Default: 0.1, for sides up to 64 0.5.
        projection_dim: length of the vectors that are compared (section 2.1).
        seed: integer, for the augmentation.
        **options: further arguments of `PairModel`, for example `gather_candidates=False`.

    Returns:
        `PairModel`, not compiled.

    Raises:
        ValueError: as `PairModel`.

    Example:
        >>> simclr((32, 32, 3), encoder="tiny").encoder.output_shape
        (None, 64)
    """
    small = is_small(image_shape)
    if image_augmentation is None:
        image_augmentation = "simclr_small" if small else "simclr"
    if isinstance(image_augmentation, str):
        image_augmentation = named_image_augmentation(image_augmentation, image_shape, seed=seed)
    if temperature is None:
        temperature = 0.5 if small else 0.1

    with dtype_scope(options.get("dtype")):
        encoder, normalization = encoder_or_resnet50(
            encoder, image_shape, normalization=normalization
        )
        encoder = patch_encoder(encoder, patch_shape=image_shape, normalization=normalization)
        dim = encoder(keras.Input(image_shape)).shape[-1]
        head = [layers.Dense(dim), layers.ReLU(), layers.Dense(projection_dim, use_bias=False)]
        head = keras.Sequential([keras.Input((dim,)), *head], name="head")
    return PairModel(
        image_shape,
        views=TwoViews(image_augmentation),
        encoder=encoder,
        head=head,
        symmetric=True,
        scale=1.0 / temperature,
        seed=seed,
        **options,
    )
