"""Images to features, once."""

import keras
import numpy as np


def extract_features(
    encoder: keras.Model, images: np.ndarray, *, batch_size: int = 250
) -> np.ndarray:
    """Run an encoder over images.

    Args:
        encoder: any model from images to features `[batch, d]` (further axes are flattened).
        images: `[n, height, width, channels]`, in the range that the encoder expects; for this
            package's encoders [0, 255].
        batch_size: images at a time; the result does not depend on it.

    Returns:
        float32 `[n, d]`.

    Raises:
        ValueError: the features are not all finite.

    Example:
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> extract_features(encoder, np.zeros((3, 8, 8, 1), "uint8")).shape
        (3, 64)
    """
    features = np.asarray(encoder.predict(images, batch_size=batch_size, verbose=0), "float32")
    features = features.reshape(len(images), -1)
    if not np.isfinite(features).all():
        broken = int((~np.isfinite(features)).any(axis=1).sum())
        raise ValueError(
            f"The encoder {encoder.name!r} gave NaN or infinite features for {broken} of "
            f"{len(images)} images. Expected finite numbers: check the weights and the pixel range."
        )
    return features
