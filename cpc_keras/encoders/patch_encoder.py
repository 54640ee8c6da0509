"""From a name or a model to a checked patch encoder."""

import functools

import keras

from cpc_keras.encoders.mlp import mlp
from cpc_keras.encoders.named_resnet import NAMED_RESNETS, named_resnet
from cpc_keras.encoders.resnet_v2 import resnet_v2
from cpc_keras.encoders.valid_cnn import valid_cnn
from cpc_keras.layers.refuse_batch_normalization import refuse_batch_normalization

PATCH_ENCODERS = {
    "mlp": mlp,
    "tiny": functools.partial(resnet_v2, widths=(16, 32, 64), blocks=(1, 1, 1)),
    "small": functools.partial(resnet_v2, widths=(32, 64, 128), blocks=(1, 1, 1)),
    "valid": valid_cnn,
    **{name: functools.partial(named_resnet, name) for name in NAMED_RESNETS},
}


def patch_encoder(
    encoder: str | keras.Model,
    *,
    patch_shape: tuple[int, int, int],
    normalization: str | None = None,
    width: int | None = None,
    depth: int | None = None,
) -> keras.Model:
    """Return the patch encoder that a name stands for, or check the one that was given.

    | name | code | parameters (8x8x3) | FLOPs a patch (8x8x3) | (64x64x3) |
    |---|---|---|---|---|
    | `"mlp"` | 128 | 42 thousand | 0.1 million | |
    | `"tiny"` | 64 | 77 thousand | 1.6 million | |
    | `"small"` | 128 | 307 thousand | 6.1 million | |
    | `"valid"` | 128 | 211 thousand | 4.9 million | |
    | `"resnet14"` | 1024 | 2.0 million | 40 million | 0.2 billion |
    | `"resnet18"` | 256 | 2.8 million | 53 million | 0.2 billion |
    | `"resnet50"` | 1024 | 8.5 million | 129 million | 0.5 billion |
    | `"resnet101"` | 1024 | 27.5 million | 281 million | 1.1 billion |
    | `"resnet161"` | 4096 | 303.6 million | 2490 million | 10.0 billion |

    The ResNets are three stages of `named_resnet`, which also builds four (`num_stages`) and tells
    which is whose; `"resnet170"` is another name of `"resnet161"`. `"mlp"`, `"tiny"` and `"small"`
    are made for patches of 8 to 16 pixels; `"valid"` (`valid_cnn`), of 8, 16, 32, ..., can be
    shared by overlapping patches.

    Args:
        encoder: a name of `PATCH_ENCODERS`, or any `keras.Model` from patches
            `[batch, *patch_shape]`, pixels in [0, 255], to codes `[batch, d]` or maps
            `[batch, h, w, d]`, which are averaged.
        patch_shape: `(height, width, channels)` of a patch.
        normalization: for the named encoders: "group" (not of "valid"), "layer" or "none". By
            default "layer" for "mlp" and "valid", "group" for the others.
        width: of "tiny" and "small": channels of the first stage, doubled by each of the two that
            follow (16 and 32 by default); of "mlp": length of the codes (128).
        depth: of "tiny" and "small": residual blocks of each of the three stages (1 by default).

    Returns:
        `keras.Model` from patches to codes `[batch, d]`.

    Raises:
        ValueError: unknown name, a model whose input or output does not fit, trainable batch
            normalisation, or `normalization`, `width` or `depth` of an encoder that has its own.

    Example:
        >>> patch_encoder("tiny", patch_shape=(8, 8, 1)).output_shape
        (None, 64)
    """
    if isinstance(encoder, str):
        if encoder not in PATCH_ENCODERS:
            raise ValueError(
                f"patch_encoder must be one of {sorted(PATCH_ENCODERS)} or a keras.Model. "
                f"Received: {encoder!r}."
            )
        chosen = {} if normalization is None else {"normalization": normalization}
        sizes = _sizes(encoder, width, depth)
        return PATCH_ENCODERS[encoder](patch_shape, **sizes, **chosen)
    if width is not None or depth is not None:
        raise ValueError(
            f"width and depth belong to the named encoders {_SIZED}. Received: width={width!r}, "
            f"depth={depth!r} with {encoder!r}. Build the model in the size that is wanted."
        )
    if normalization is not None:
        raise ValueError(
            f"normalization belongs to the named encoders {sorted(PATCH_ENCODERS)}. Received: "
            f"normalization={normalization!r} with {encoder!r}. Build the model with the layers "
            "that are wanted, and pass None."
        )
    if not isinstance(encoder, keras.Model):
        raise ValueError(
            "patch_encoder must be a name or a keras.Model from patches to codes. "
            f"Received: {encoder!r} of type {type(encoder).__name__}."
        )
    patches = keras.Input(patch_shape, name="patches")
    try:
        # One real patch first: symbolic calls of functional models do not check what layers take.
        encoder(keras.ops.zeros((1, *patch_shape)))
        codes = encoder(patches)
    except Exception as error:
        raise ValueError(
            f"The patch encoder {encoder.name!r} does not take patches of shape {patch_shape}: "
            f"{error}"
        ) from error
    # Now that it is built and all its layers exist.
    refuse_batch_normalization(encoder, role="encoder", spanned="a batch")
    rank = len(getattr(codes, "shape", ()))
    if rank not in (2, 4):
        raise ValueError(
            f"The patch encoder {encoder.name!r} must return codes [batch, d] or maps "
            f"[batch, h, w, d]. Received: {getattr(codes, 'shape', codes)}."
        )
    if rank == 2:
        return encoder
    codes = keras.layers.GlobalAveragePooling2D()(codes)
    return keras.Model(patches, codes, name="patch_encoder")


# Those whose size may be told; the others are a paper's.
_SIZED = ("mlp", "tiny", "small")
_FIRST_WIDTH = {"tiny": 16, "small": 32}


def _sizes(encoder, width, depth):
    if width is None and depth is None:
        return {}
    for name, value in (("width", width), ("depth", depth)):
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if value is not None and not is_number:
            raise ValueError(
                f"{name} of a patch encoder must be a whole number >= 1. Received: {value!r}."
            )
    if encoder not in _SIZED or (encoder == "mlp" and depth is not None):
        raise ValueError(
            f"width goes with the patch encoders {_SIZED}, depth with {_SIZED[1:]}. Received: "
            f"width={width!r}, depth={depth!r} with {encoder!r}. `resnet_v2` builds others."
        )
    if encoder == "mlp":
        return {"width": width}
    width = _FIRST_WIDTH[encoder] if width is None else width
    return {"widths": (width, 2 * width, 4 * width), "blocks": (depth or 1,) * 3}
