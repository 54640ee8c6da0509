"""Grey values."""

import keras
import numpy as np
import pytest
from PIL import Image

from cpc_keras.ops import luminance


def test_colour_is_weighed_as_by_pillow():
    image = np.random.default_rng(0).integers(0, 256, (9, 8, 3), "uint8")
    result = keras.ops.convert_to_numpy(luminance(image[None].astype("float32")))[0, ..., 0]
    expected = np.asarray(Image.fromarray(image).convert("L"), "float32")
    assert np.abs(result - expected).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_are_averaged(channels):
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, channels)).astype("float32")
    result = keras.ops.convert_to_numpy(luminance(image))
    np.testing.assert_allclose(result, image.mean(-1, keepdims=True), rtol=1e-5)
