"""The ordinary network that every claim is held against."""

import keras
from keras import layers


def whole_image_cnn(
    image_shape: tuple[int, int, int], *, num_classes: int, num_parameters: int
) -> keras.Model:
    """Build a plain convolutional classifier of about `num_parameters` parameters.

    Three stages of two 3x3 convolutions with batch normalisation, widths w, 2w and 4w, max-pooled
    between, mean-pooled, dropout 0.3, linear classifier: what a practitioner would train on the
    labels alone.

    Args:
        image_shape: `(height, width, channels)`, sides of at least 4.
        num_classes: number of classes.
        num_parameters: size to match; the width w is chosen for it, at least 4.

    Returns:
        `keras.Model` from images in [0, 255] to logits `[batch, num_classes]`.

    Example:
        >>> whole_image_cnn((28, 28, 1), num_classes=10, num_parameters=300_000).count_params()
        307306
    """
    # Convolutions hold 9 * (1 + 2 + 4 + 8 + 16) = 279 weights per squared width; the rest is small.
    width = max(4, round((num_parameters / 279) ** 0.5))
    inputs = keras.Input(image_shape, name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    for stage in range(3):
        if stage:
            x = layers.MaxPooling2D(2)(x)
        for _ in range(2):
            x = layers.Conv2D(width * 2**stage, 3, padding="same", use_bias=False)(x)
            # Keras's default momentum of 0.99 would still hold the initial statistics after the few
            # hundred steps that few labels need.
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(num_classes, dtype="float32")(x), name="cnn")
