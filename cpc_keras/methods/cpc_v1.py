"""CPC as first published."""

from cpc_keras.models import CPCModel


def cpc_v1(image_shape: tuple[int, int, int] = (256, 256, 1), **options) -> CPCModel:
    """Build CPC v1 for images (van den Oord, Li, Vinyals 2018, arXiv:1807.03748, section 3.2).

    Grey images of 256 pixels; a 7x7 grid of 64-pixel patches at stride 32, each sub-cropped to 60
    pixels and padded back; three stages of ResNet-v2-101 without normalisation, mean-pooled to
    1024; a PixelCNN-style context; predictions downwards, one bilinear form an offset. The paper
    predicts five rows; with patches that overlap by half the five usable offsets of seven rows are
    2 to 6. It does not say how wide and deep its PixelCNN is: five blocks of 256 channels here, as
    in CPC v2.

    The optimizer of the paper is Adam with 2e-4, batches of 512 images.

    Args:
        image_shape: `(height, width, channels)`.
        **options: arguments of `CPCModel` that replace the paper's, for example for small images:
            `patch_encoder="tiny", patch_size=8, patch_stride=4`.

    Returns:
        `CPCModel`, not compiled.

    Raises:
        ValueError: as `CPCModel`.

    Example:
        >>> model = cpc_v1((32, 32, 1), patch_encoder="mlp", patch_size=8, patch_stride=4)
        >>> model.grid, list(model.terms)
        ((7, 7), ['down_2', 'down_3', 'down_4', 'down_5', 'down_6'])
    """
    paper = {
        "patch_encoder": "resnet101",
        "normalization": "none",
        "patch_size": 64,
        "patch_stride": 32,
        "offsets": (2, 3, 4, 5, 6),
        "directions": ("down",),
        "score": "bilinear",
        "candidates": "all",
        "context_network": "gated_pixel_cnn",
        "context_blocks": 5,
        "context_filters": 256,
        "patch_augmentation": "cpc_v1",
        "pooling": "mean",
    }
    if not isinstance(options.get("patch_encoder", ""), str):
        del paper["normalization"]  # a model has its own
    return CPCModel(image_shape, **{**paper, **options})
