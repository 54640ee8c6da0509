"""An encoder with a linear head, to train on labels."""

import keras
from keras import layers


def image_classifier(encoder: keras.Model, *, num_classes: int, dropout: float = 0.5):
    """Put normalisation, dropout and a linear layer on an encoder; all of it trains.

    Args:
        encoder: model from images to features `[batch, d]`.
        num_classes: number of classes.
        dropout: share of the features dropped in training.

    Returns:
        `keras.Model` from images to logits `[batch, num_classes]`.

    Example:
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> image_classifier(encoder, num_classes=10).output_shape
        (None, 10)
    """
    images = keras.Input(encoder.input_shape[1:], name="images")
    x = layers.Flatten()(encoder(images))
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    x = layers.Dropout(dropout)(x)
    return keras.Model(images, layers.Dense(num_classes, dtype="float32")(x), name="classifier")
