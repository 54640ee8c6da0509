"""CPC, second version."""

from cpc_keras.models import CPCModel


def cpc_v2(image_shape: tuple[int, int, int] = (260, 260, 3), **options) -> CPCModel:
    """Build CPC v2 (Henaff et al. 2019, arXiv:1905.09272).

    Colour images of 260 pixels; a 6x6 grid of 80-pixel patches at stride 36, each augmented alone;
    three stages of the widened ResNet-161 with layer normalisation, mean-pooled to 4096; the masked
    residual context; predictions in four directions of codes projected to 64 dimensions, scores
    times 0.1. Offset 2 still shares 8 pixels at these sizes, so the offsets are 3 to 5. Which axes
    the paper's layer normalisation spans and whether directions share the context network is not
    known: channels, positions and all (one group), and shared, here.

    The optimizer is recalled as Adam with 4e-4, beta_1 0.8, gradients clipped to a norm of 0.01, an
    average of the weights with 0.9999, and batches of 512 images.

    Args:
        image_shape: `(height, width, channels)`.
        **options: arguments of `CPCModel` that replace the paper's, for example for small images:
            `patch_encoder="tiny", patch_size=8, patch_stride=4, offsets=(2, 3, 4)`.

    Returns:
        `CPCModel`, not compiled.

    Raises:
        ValueError: as `CPCModel`.

    Example:
        >>> model = cpc_v2((32, 32, 3), patch_encoder="mlp", patch_size=8, patch_stride=4)
        >>> model.grid, len(model.terms)
        ((7, 7), 12)
    """
    paper = {
        "patch_encoder": "resnet161",
        "patch_size": 80,
        "patch_stride": 36,
        "offsets": (3, 4, 5),
        "score": "projected",
        "target_dim": 64,
        "candidates": "all",
        "context_network": "masked",
        "context_blocks": 5,
        "context_filters": 256,
        "patch_augmentation": "cpc_v2",
        "pooling": "mean",
    }
    return CPCModel(image_shape, **{**paper, **options})
