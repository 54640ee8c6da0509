import io

import keras
import numpy as np
import pytest
from PIL import Image

SHAPE = (8, 8, 3)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, SHAPE, "uint8")


def png(seed):
    data = io.BytesIO()
    Image.fromarray(picture(seed)).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="session")
def encoder():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ],
        name="encoder",
    )


@pytest.fixture
def photos(tmp_path):
    """Eleven images in folders of any name, and two files that are none."""
    root = tmp_path / "photos"
    for number in range(11):
        file = root / ("train" if number < 4 else "odd/deeper") / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    (root / "odd" / "torn.png").write_bytes(png(3)[:40])
    (root / "odd" / "empty.jpg").write_bytes(b"")
    return root


@pytest.fixture
def expected(encoder):
    """Name to feature of every readable image, by predict on the pixels themselves."""
    features = encoder.predict(np.stack([picture(n) for n in range(11)]), verbose=0)
    return {f"{'train' if n < 4 else 'odd/deeper'}/{n:02d}.png": features[n] for n in range(11)}
