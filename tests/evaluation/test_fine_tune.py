"""fine_tune: a classifier as files."""

import dataclasses
import importlib
import json
import zipfile

import keras
import numpy as np
import pytest

from cpc_keras.data import ImageData, Splits, label_subset, read_label_subset
from cpc_keras.evaluation import classification_metrics, fine_tune

tf = pytest.importorskip("tensorflow")


def _splits(num_train=40):
    # Class 0 is bright on the left, class 1 on the right.
    rng = np.random.default_rng(0)

    def data(count):
        images = rng.integers(0, 60, (count, 8, 8, 1), "uint8")
        labels = np.arange(count) % 2
        images[labels == 0, :, :4] += 150
        images[labels == 1, :, 4:] += 150
        return ImageData(images, labels=labels, class_names=("left", "right"))

    return Splits(data(num_train), data(20))


def _encoder():
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        + [keras.layers.Dense(8, activation="relu")]
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned") / "mine"
    encoder, steps, starts = _encoder(), [], []
    before = [w.copy() for w in encoder.get_weights()]
    result = fine_tune(
        encoder,
        _splits(),
        out,
        fraction=0.5,
        num_steps=20,
        facts={"command": "here"},
        on_start=starts.append,
        on_step=lambda: steps.append(1),
    )
    for now, then in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    return out, result, len(steps), starts


def test_what_is_held_out_divides_no_group_and_weighs_classes_alike(tmp_path, monkeypatch):
    train, test = _splits()
    train = dataclasses.replace(train, groups=np.arange(40) // 4)
    seen = []

    def look(row, labels, index, *, groups, class_weight):
        seen.append((groups, class_weight, row._class_weight))
        raise FileNotFoundError("enough")

    module = importlib.import_module("cpc_keras.evaluation.fine_tune")
    monkeypatch.setattr(module, "choose_setting", look)
    with pytest.raises(FileNotFoundError, match="enough"):
        fine_tune(
            _encoder(), Splits(train, test), tmp_path / "mine", num_steps=2, class_weight="balanced"
        )
    assert seen[0][0] is train.groups and seen[0][1:] == ("balanced", "balanced")


def test_the_classifier_gives_the_probabilities_that_were_measured(tuned):
    out, result, _, _ = tuned
    test = _splits().test
    classifier = keras.saving.load_model(out / "classifier.keras")
    probabilities = classifier.predict(test.images, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert result["top_1"] == (probabilities.argmax(axis=1) == test.labels).mean() > 0.9
    again = classification_metrics(probabilities, test.labels)
    assert result["auroc"] == pytest.approx(again["auroc"])


def test_the_saved_model_serves_the_same(tuned):
    out, _, _, _ = tuned
    images = _splits().test.images.astype("float32")
    served = tf.saved_model.load(str(out / "saved_model"))
    expected = keras.saving.load_model(out / "classifier.keras").predict(images, verbose=0)
    np.testing.assert_allclose(served.serve(images), expected, atol=1e-5)


def test_nothing_in_the_file_names_this_package(tuned):
    with zipfile.ZipFile(tuned[0] / "classifier.keras") as archive:
        assert b"cpc_keras" not in archive.read("config.json")


def test_metrics_and_labels_are_written_beside(tuned):
    out, result, _, _ = tuned
    assert json.loads((out / "metrics.json").read_text()) == result
    assert result["num_labels"] == 20 and result["command"] == "here"
    assert result["class_names"] == ["left", "right"]
    train = _splits().train
    np.testing.assert_array_equal(
        read_label_subset(out / "labels.csv", train), label_subset(train.labels, 0.5, seed=0)
    )
    assert [path.name for path in out.parent.iterdir()] == ["mine"]


def test_every_step_is_told_as_many_as_were_promised(tuned):
    # Two trials of ten steps, and twenty.
    _, _, steps, starts = tuned
    assert starts == [40] and steps == 40


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x")
    with pytest.raises(FileExistsError, match="Nothing is overwritten"):
        fine_tune(_encoder(), _splits(), tmp_path / "mine")


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(keras.Model, "export", fail)
    with pytest.raises(OSError, match="No space left"):
        fine_tune(_encoder(), _splits(), tmp_path / "mine", num_steps=1, learning_rate=1e-3)
    assert not list(tmp_path.iterdir())


def test_data_that_cannot_be_measured_are_refused(tmp_path):
    splits = _splits()
    with pytest.raises(ValueError, match="no test images"):
        fine_tune(_encoder(), Splits(splits.train), tmp_path / "mine")
    several = ImageData(splits.train.images, labels=np.eye(2, dtype=int)[splits.train.labels])
    with pytest.raises(ValueError, match="several classes each"):
        fine_tune(_encoder(), Splits(several, several), tmp_path / "mine")


def test_a_class_of_test_images_alone_counts(tmp_path):
    splits = _splits()
    train, test = (dataclasses.replace(part, class_names=()) for part in splits)
    test.labels[0] = 2
    result = fine_tune(
        _encoder(), Splits(train, test), tmp_path / "mine", num_steps=1, learning_rate=1e-3
    )
    assert result["num_images"] == len(test)
    classifier = keras.saving.load_model(tmp_path / "mine" / "classifier.keras")
    assert classifier.output_shape == (None, 3)
