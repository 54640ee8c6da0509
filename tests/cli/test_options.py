"""What options that several commands share do to the data."""

import numpy as np

from cpc_keras.cli.chosen_data import drawn
from cpc_keras.data import ImageData


def test_so_many_images_are_drawn_in_their_order_and_the_same_each_time():
    images = np.arange(50, dtype="uint8").reshape(50, 1, 1, 1)
    data = ImageData(images=images, labels=np.arange(50), source="numbers")
    some, again, more = drawn(data, 20), drawn(data, 20), drawn(data, 30)
    kept = some.images.ravel()
    assert len(set(kept)) == 20 and (np.diff(kept.astype(int)) > 0).all()
    np.testing.assert_array_equal(some.labels, kept)
    np.testing.assert_array_equal(again.images, some.images)
    assert set(kept) < set(more.images.ravel())
    # Not the first ones, which may be of one class.
    assert kept[-1] > 20
    assert some.source == "numbers, 20 drawn"
    assert drawn(data, None) is data and drawn(data, 50) is data and drawn(None, 3) is None
