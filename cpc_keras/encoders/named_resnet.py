"""The residual networks that have a name."""

import keras

from cpc_keras.encoders.resnet_v2 import STEMS, resnet_v2

_BASIC = {"widths": (64, 128, 256, 512), "bottlenecks": None}
_BOTTLENECK = {"widths": (256, 512, 1024, 2048), "bottlenecks": (64, 128, 256, 512)}
_WIDE = {"widths": (256, 512, 4096), "bottlenecks": (64, 128, 512)}
NAMED_RESNETS = {
    "resnet14": {"blocks": (1, 1, 1, 1), **_BOTTLENECK},
    "resnet18": {"blocks": (2, 2, 2, 2), **_BASIC},
    "resnet50": {"blocks": (3, 4, 6, 3), **_BOTTLENECK},
    "resnet101": {"blocks": (3, 4, 23, 3), **_BOTTLENECK},
    # One encoder counted twice: its layers are (3 + 4 + 46) * 3 + 2 = 161, and 170 with the three
    # blocks of the fourth stage, which CPC leaves out.
    "resnet161": {"blocks": (3, 4, 46), **_WIDE},
    "resnet170": {"blocks": (3, 4, 46), **_WIDE},
}

# The smallest patches that the papers give to this stem (v1: 64 pixels, v2: 80).
IMAGENET_STEM_FROM = 64


def named_resnet(
    architecture: str,
    input_shape: tuple[int, int, int],
    *,
    num_stages: int = 3,
    stem: str = "auto",
    normalization: str = "group",
    name: str = "patch_encoder",
) -> keras.Model:
    """Build the first stages of a pre-activation ResNet by its name, to encode patches.

    CPC uses three stages: v1 (van den Oord et al. 2018, arXiv:1807.03748, section 3.2) those of
    ResNet-v2-101 without normalisation, 1024 features; v2 (Henaff et al. 2019, arXiv:1905.09272)
    those of its ResNet-161 with layer normalisation: the third stage of ResNet-101, 23 blocks of
    1024 channels and bottlenecks of 256, becomes 46 blocks of 4096 and 512.

    | name | blocks | code | parameters, 3 stages | parameters, 4 stages |
    |---|---|---|---|---|
    | `"resnet14"` | 1, 1, 1, 1 | 1024 | 1,972,800 | 8,008,256 |
    | `"resnet18"` | 2, 2, 2, 2, basic | 256 | 2,782,016 | 11,174,720 |
    | `"resnet50"` | 3, 4, 6, 3 | 1024 | 8,539,712 | 23,500,352 |
    | `"resnet101"` | 3, 4, 23, 3 | 1024 | 27,531,840 | 42,492,480 |
    | `"resnet161"` | 3, 4, 46 | 4096 | 303,642,176 | |

    The parameters are those of 64x64x3 patches, normalisation included; a fourth stage doubles the
    code. `"resnet170"` is another name of `"resnet161"`. The paper tells 305 million for its
    ResNet-161: this reading has 0.4 % fewer (303.9 million with biases), one with ResNet-101's
    fourth stage on top would have 326 million. Its ResNet-50 of 24 million is that of four stages.

    Maps are halved only while their shorter side keeps two rows or columns, so that the mean is
    not of a single position where patches are small. Without normalisation the last convolution of
    every block starts with 1 / blocks of the usual variance: at all of it, the codes of ResNet-101
    would reach 1e4.

    Args:
        architecture: a name in the table.
        input_shape: `(height, width, channels)` of a patch.
        num_stages: how many stages from the first on.
        stem: "small" (3x3 at stride 1), "imagenet" (7x7 and max-pooling, both at stride 2), or
            "auto": "imagenet" where both sides are 64 pixels or more, otherwise "small".
        normalization: "group" (one group), "layer" (channels of each position) or "none".
        name: name of the model.

    Returns:
        Model from patches `[batch, height, width, channels]`, pixels in [0, 255], to codes
        `[batch, d]`, the mean over the last map.

    Raises:
        ValueError: unknown name, stem or normalization, stages that the network does not have, or
            `stem="auto"` for patches of unknown sides.

    Example:
        >>> named_resnet("resnet14", (16, 16, 3)).output_shape
        (None, 1024)
    """
    if architecture not in NAMED_RESNETS:
        raise ValueError(
            f"architecture must be one of {sorted(NAMED_RESNETS)}. Received: {architecture!r}. "
            "`resnet_v2` builds others."
        )
    stages = NAMED_RESNETS[architecture]
    if num_stages not in range(1, len(stages["blocks"]) + 1):
        raise ValueError(
            f"num_stages of {architecture} must be 1 to {len(stages['blocks'])}. "
            f"Received: {num_stages!r}."
        )
    if stem not in ("auto", *STEMS):
        raise ValueError(f"stem must be one of {('auto', *STEMS)}. Received: {stem!r}.")
    sides = input_shape[:2]
    if stem == "auto":
        if None in sides:
            raise ValueError(
                f'stem="auto" goes by the sides of the patches. Received: input_shape='
                f"{input_shape}. Give both sides, or choose one of {STEMS}."
            )
        stem = "imagenet" if min(sides) >= IMAGENET_STEM_FROM else "small"
    stages = {key: value and value[:num_stages] for key, value in stages.items()}
    return resnet_v2(
        input_shape,
        **stages,
        stem=stem,
        smallest_map=1 if None in sides else 2,
        branch_variance=1 / sum(stages["blocks"]) if normalization == "none" else 1.0,
        normalization=normalization,
        name=name,
    )
