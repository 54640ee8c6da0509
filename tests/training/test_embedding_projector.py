"""EmbeddingProjector, read back by TensorBoard itself."""

import io

import keras
import numpy as np
import PIL.Image
import pytest

from cpc_keras.training import EmbeddingProjector

RNG = np.random.default_rng(0)


def encoder_of(images):
    image = keras.Input(images.shape[1:])
    return keras.Model(image, keras.layers.Flatten()(image))


def write(directory, images, **kwargs):
    projector = EmbeddingProjector(directory, images, encoder=encoder_of(images), **kwargs)
    projector.set_model(None)
    projector.on_epoch_end(0, {})
    return projector


def test_tensorboard_shows_features_classes_and_images(tmp_path):
    from tensorboard.backend import application
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
    from werkzeug import test as werkzeug_test

    images = RNG.integers(0, 256, (10, 6, 4, 3), "uint8")
    labels = np.array([0, 1, -1] * 3 + [1])
    write(tmp_path, images, labels=labels, class_names=("a cat", "a\tdog"))
    plugin = ProjectorPlugin(TBContext(logdir=str(tmp_path)))
    server = werkzeug_test.Client(application.TensorBoardWSGI([plugin]))

    def get(what, **query):
        answer = server.get(f"/data/plugin/projector/{what}", query_string=query)
        assert answer.status_code == 200, answer.data
        return answer.data

    assert b'"."' in get("runs")
    named = {"run": ".", "name": "features"}
    features = np.frombuffer(get("tensor", **named), "float32").reshape(10, -1)
    expected = images.reshape(10, -1).astype("float32")  # 72 dimensions: principal components
    assert features.shape[1] <= 64

    def distances(x):
        return np.linalg.norm(x[:, None] - x[None], axis=-1)

    np.testing.assert_allclose(distances(features), distances(expected), rtol=1e-3, atol=0.1)
    names = get("metadata", **named, num_rows=100).decode().splitlines()
    assert names == ["a cat", "a dog", "none"] * 3 + ["a dog"]
    sprite = np.asarray(PIL.Image.open(io.BytesIO(get("sprite_image", **named))))
    assert sprite.shape == (24, 16, 3)  # four by four places for ten images of 6 x 4
    np.testing.assert_array_equal(sprite[6:12, 4:8], images[5])
    assert not sprite[18:].any()


def test_large_and_many_channel_images_are_made_small(tmp_path):
    images = RNG.integers(0, 256, (3, 100, 50, 5), "uint8")
    write(tmp_path, images)
    with PIL.Image.open(tmp_path / "sprite.png") as sprite:
        assert sprite.mode == "L" and sprite.size == (48, 96)  # two by two of 24 x 48
    assert (tmp_path / "metadata.tsv").read_text().split("\n")[1] == "image 1"
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


def test_images_of_several_classes_are_named_by_all(tmp_path):
    images, labels = np.zeros((3, 4, 4, 1), "uint8"), np.array([[1, 0], [1, 1], [0, 0]])
    write(tmp_path, images, labels=labels, class_names=("a", "b"))
    assert (tmp_path / "metadata.tsv").read_text().split("\n") == ["a", "a b", "none", ""]


def test_labels_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="2 labels for 3 images"):
        EmbeddingProjector(tmp_path, np.zeros((3, 4, 4, 1)), [0, 1])
