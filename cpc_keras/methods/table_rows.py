"""The methods at one small size, to be compared with one budget."""

import dataclasses
import inspect
from collections.abc import Callable

import keras

import cpc_keras.methods as methods


@dataclasses.dataclass(frozen=True)
class Scale:
    """The size at which methods are compared.

    Attributes:
        image_shape: `(height, width, channels)`.
        encoder: name of the encoder that all have (`encoders.PATCH_ENCODERS`): CPC's sees patches,
            the others' images.
        num_images: training images.
        num_steps: training steps of a run.
    """

    image_shape: tuple[int, int, int]
    encoder: str
    num_images: int
    num_steps: int


def _cpc(scale):
    # The half overlap of the papers and their grid of seven, or what comes nearest to it: patches
    # fill an image whose sides are multiples of the stride, and a grid of three has an offset.
    sides = scale.image_shape[:2]
    strides = [s for s in range(2, min(sides) // 4 + 1) if not any(side % s for side in sides)]
    # Of sides that have none, the model says what is wrong.
    stride = min(strides, key=lambda s: abs(s - min(sides) / 8), default=2)
    grid = min(sides) // stride - 1
    return {
        "patch_encoder": scale.encoder,
        "patch_size": 2 * stride,
        "patch_stride": stride,
        "offsets": tuple(k for k in (2, 3, 4) if k < grid),
        "context_blocks": 2,
        "context_filters": 64,
        # For time: the expected loss is that of all predictions.
        "num_anchors": 512,
    }


def _pseudo_label(scale):
    # The paper's weight has risen after a long training; here by the middle of a short one.
    return {"ramp": (scale.num_steps // 10, scale.num_steps // 2)}


# Row: method, options beside encoder and augmentation. Any other method of METHODS is a row of its
# own name without options.
OPTIONS: dict[str, tuple[str, Callable[[Scale], dict]]] = {
    "cpc": ("cpc", _cpc),
    "cpc_v1": ("cpc_v1", _cpc),
    "cpc_v2": ("cpc_v2", _cpc),
    "cpc_pair": ("cpc_pair", lambda scale: {"image_augmentation": "simclr_small"}),
    "pseudo_label": ("pseudo_label", _pseudo_label),
    "vat": ("vat", lambda scale: {}),
    "vat_entropy": ("vat", lambda scale: {"entropy_minimization": True}),
}


def table_rows() -> dict[str, str]:
    """Return the rows whose method is there: name of the row to name of the method.

    Example:
        >>> table_rows()["vat_entropy"]
        'vat'
    """
    rows = {name: method for name, (method, _) in OPTIONS.items() if method in methods.METHODS}
    return {**{name: name for name in methods.METHODS}, **rows}


def build_row(
    row: str, scale: Scale, *, num_classes: int | None = None, seed: int = 0
) -> keras.Model:
    """Build the model of a row at a scale.

    Args:
        row: a name of `table_rows`.
        scale: the size.
        num_classes: for methods that use labels.
        seed: integer.

    Returns:
        The model, not compiled.

    Example:
        >>> scale = Scale((32, 32, 3), "tiny", num_images=1000, num_steps=100)
        >>> build_row("cpc", scale).encoder.output_shape
        (None, 64)
    """
    method = methods.METHODS[table_rows()[row]]
    options = OPTIONS.get(row, (row, lambda scale: {}))[1](scale)
    if "patch_encoder" not in options:
        options["encoder"] = scale.encoder
    if methods.needs_labels(method):
        options = {"num_classes": num_classes, "image_augmentation": "photos", **options}
    if "num_images" in inspect.signature(method).parameters:
        options["num_images"] = scale.num_images  # a memory of each
    return method(scale.image_shape, seed=seed, **options)
