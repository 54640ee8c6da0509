"""write_classifier: what is measured, and what is written."""

import json

import keras
import numpy as np
import pytest

from cpc_keras.data import ImageData, Splits
from cpc_keras.evaluation import write_classifier

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def logits():
    """Tells images by their brightness."""
    images = keras.Input((2, 2, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 64, offset=-2.0)(images))
    dense = keras.layers.Dense(3)
    model = keras.Model(images, dense(x))
    dense.set_weights([np.tile([-1.0, 1.0, 0.0], (4, 1)), np.array([0.0, 0.0, -5.0])])
    return model


def _splits(test_labels):
    def data(labels):
        images = np.repeat(np.array([0, 255, 0, 255], "uint8"), 4).reshape(4, 2, 2, 1)
        return ImageData(images, labels=labels, class_names=("dark", "bright"))

    return Splits(data(np.array([0, 1, 0, 1])), data(test_labels))


def test_test_images_that_have_a_label_are_measured(logits, tmp_path):
    splits = _splits(np.array([0, 1, 1, -1]))
    result = write_classifier(logits, splits, tmp_path / "a", index=[0, 1], facts={"method": "x"})
    assert result["num_images"] == 3 and result["top_1"] == pytest.approx(2 / 3)
    assert result["num_labels"] == 2 and result["method"] == "x"
    assert result["class_names"] == ["dark", "bright", "2"]  # as many as are predicted
    assert json.loads((tmp_path / "a" / "metrics.json").read_text()) == result
    # What is known already is not predicted: here it is wrong.
    wrong = np.tile([0.0, 0.0, 1.0], (4, 1))
    given = write_classifier(logits, splits, tmp_path / "b", index=[0, 1], probabilities=wrong)
    assert given["top_1"] == 0


@pytest.mark.parametrize("labels", [None, np.full(4, -1)])
def test_without_labels_nothing_is_measured_and_the_classifier_is_written(logits, tmp_path, labels):
    splits = _splits(labels)
    for name, given in (("a", splits), ("b", Splits(splits.train))):
        result = write_classifier(logits, given, tmp_path / name, index=[0, 1])
        assert "top_1" not in result and result["num_labels"] == 2
        assert keras.saving.load_model(tmp_path / name / "classifier.keras").output_shape[-1] == 3


def test_nothing_is_overwritten_and_what_a_kill_left_is_swept(logits, tmp_path):
    left = tmp_path / ".a.partial-1-0123abcd"
    left.mkdir()
    splits = Splits(_splits(None).train)
    write_classifier(logits, splits, tmp_path / "a", index=[0, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(FileExistsError, match="Nothing is overwritten"):
        write_classifier(logits, splits, tmp_path / "a", index=[0, 1])
