"""Reading between pixels, against SciPy."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from cpc_keras.ops import sample_bilinear


@pytest.mark.parametrize(
    ("fill_value", "mode"), [(None, "nearest"), (0.0, "grid-constant"), (9.0, "grid-constant")]
)
def test_each_image_is_read_at_its_own_positions(fill_value, mode):
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 255, (3, 5, 7, 2)).astype("float32")
    rows = generator.uniform(-3, 8, (3, 4, 6)).astype("float32")
    columns = generator.uniform(-3, 10, (3, 4, 6)).astype("float32")
    rows[0], columns[0] = np.round(rows[0]), np.round(columns[0])
    result = keras.ops.convert_to_numpy(
        sample_bilinear(images, rows, columns, fill_value=fill_value)
    )
    for image, y, x, read in zip(images, rows, columns, result, strict=True):
        for channel in range(2):
            expected = ndimage.map_coordinates(
                image[..., channel], [y, x], order=1, mode=mode, cval=fill_value or 0.0
            )
            np.testing.assert_allclose(read[..., channel], expected, atol=1e-2)
