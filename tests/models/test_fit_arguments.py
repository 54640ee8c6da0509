"""`compile`, `fit` and `evaluate`: which of Keras's arguments are taken and which refused."""

import keras
import numpy as np
import pytest

from cpc_keras.augmentations import image_augmentation
from cpc_keras.methods import supervised
from cpc_keras.models import InstanceModel, PairModel, PretextModel
from cpc_keras.views import Rotations, TwoViews

tf = pytest.importorskip("tensorflow")

SHAPE = (8, 8, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, *SHAPE), "uint8")
LABELS = np.array([0, 1, 2, -1, 2, -1, -1, 1])


def pretext():
    model = PretextModel(SHAPE, views=Rotations(), encoder=encoder())
    model.compile("sgd", run_eagerly=True)
    return model


def classifier(**options):
    model = supervised(SHAPE, 3, encoder=encoder(), **options)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return model


def encoder():
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(4)])


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "mse"},
        {"loss": keras.losses.MeanSquaredError(), "loss_weights": [2.0]},
        {"metrics": ["accuracy"]},
        {"weighted_metrics": ["accuracy"]},
    ],
)
def test_compile_refuses_what_the_model_has_itself(options):
    model = PretextModel(SHAPE, views=Rotations(), encoder=encoder())
    with pytest.raises(ValueError, match=r"logs loss, accuracy\. Expected compile") as told:
        model.compile("sgd", **options)
    assert all(f"{name}=" in str(told.value) for name in options)
    assert not model.compiled
    model.compile("sgd", None, None, [], None, True)  # in Keras's order: run_eagerly
    assert model.run_eagerly


def test_a_saved_model_comes_back_compiled(tmp_path):
    model = PretextModel(SHAPE, views=Rotations(), encoder=encoder())
    model.compile(keras.optimizers.Adam(0.25), run_eagerly=True)
    model.fit(IMAGES, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.run_eagerly and float(again.optimizer.learning_rate) == 0.25
    for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    # As files may say that were written while `compile` took what it ignored.
    config = {**model.get_compile_config(), "loss": "mse", "metrics": ["accuracy"]}
    again.compile_from_config(config)
    again.fit(IMAGES, verbose=0)


def test_arguments_may_be_given_in_keras_order():
    model = pretext()
    history = model.fit(IMAGES, None, 4, 2, 0)
    assert len(history.history["loss"]) == 2
    assert np.isfinite(model.evaluate(IMAGES, None, 4, 0)).all()


def one_shot(images, size=2):
    """A dataset that can be read once, and a list of what was read."""
    read = []

    def take():
        for start in range(0, len(images), size):
            read.append(start)
            yield images[start : start + size]

    batches = take()
    spec = tf.TensorSpec((None, *SHAPE), images.dtype)
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=spec), read


def test_no_batch_of_a_one_shot_dataset_is_lost():
    model = pretext()
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: steps.append(step))
    dataset, read = one_shot(IMAGES)
    model.fit(dataset, callbacks=[count], verbose=0)
    assert (len(steps), read) == (4, [0, 2, 4, 6])
    dataset, read = one_shot(IMAGES)
    model.evaluate(dataset, verbose=0)
    assert read == [0, 2, 4, 6]


def test_what_is_validated_on_is_checked_by_fit_once_and_read_once_an_epoch():
    model = pretext()
    read = []
    held_out = tf.data.Dataset.from_tensor_slices(IMAGES / 255.0).batch(4)
    held_out = held_out.map(
        lambda x: tf.numpy_function(lambda x: read.append(1) or x, [x], x.dtype)
    )
    held_out = held_out.map(lambda x: tf.ensure_shape(x, (None, *SHAPE)))
    with pytest.warns(UserWarning, match="look like") as record:
        model.fit(IMAGES, epochs=2, validation_data=held_out, verbose=0)
    assert len(read) == 2 * 2
    assert len([w for w in record if "look like" in str(w.message)]) == 1
    with pytest.warns(UserWarning, match="look like") as record:
        history = model.fit(
            IMAGES, epochs=2, validation_data=(IMAGES / 255.0, None), verbose=0
        ).history
    assert [w.filename for w in record if "look like" in str(w.message)] == [__file__]
    assert len(history["val_loss"]) == 2
    with pytest.raises(ValueError, match="A channel axis may be missing"):
        model.fit(IMAGES, validation_data=(IMAGES[..., 0], LABELS), verbose=0)


def test_methods_without_labels_take_no_weights():
    photos = TwoViews(image_augmentation("photos", SHAPE))
    for model in (
        pretext(),
        PairModel(SHAPE, views=photos, encoder=encoder()),
        InstanceModel(SHAPE, num_images=8, encoder=encoder(), dim=4),
    ):
        model.compile("sgd", run_eagerly=True)
        x = IMAGES
        if isinstance(model, InstanceModel):
            x = {"image": IMAGES, "index": np.arange(8)}
        name = type(model).__name__
        with pytest.raises(ValueError, match=f"{name} learns without labels.*takes no sample_weig"):
            model.fit(x, sample_weight=np.ones(8), verbose=0)
        with pytest.raises(ValueError, match="takes no sample_weight"):
            model.evaluate(x, sample_weight=np.ones(8), verbose=0)
        if not isinstance(x, dict):
            x = tf.data.Dataset.from_tensors((x, LABELS, np.ones(8)))
        with pytest.raises(ValueError, match="takes no sample_weight"):
            model.fit(x, verbose=0, sample_weight=np.ones(8) if isinstance(x, dict) else None)
        with pytest.raises(ValueError, match="takes no class_weight"):
            model.fit(IMAGES, LABELS, class_weight={0: 1.0}, verbose=0)


def test_weights_of_images_and_classes_weight_the_cross_entropy_of_labelled_images():
    model = classifier()
    each = -np.asarray(keras.ops.log_softmax(model.classifier(IMAGES)))
    known = np.flatnonzero(LABELS >= 0)
    each = each[known, LABELS[known]]
    of_images = np.linspace(0.0, 3.0, 8).astype("float32")
    of_classes = {0: 0.0, 2: 3.0}  # 1 has 1
    in_order = np.array([0.0, 1.0, 3.0])[LABELS[known]]
    batch = {"image": IMAGES, "label": LABELS}
    dataset = tf.data.Dataset.from_tensors(batch)
    pairs = tf.data.Dataset.from_tensors((IMAGES, LABELS, of_images))

    def cross_entropy(*data, **options):
        logs = model.fit(*data, verbose=0, **options).history
        np.testing.assert_allclose(logs["loss"], logs["cross_entropy"], rtol=1e-6)
        # Without weights, as Keras's own `metrics`.
        assert logs["accuracy"] == model.fit(batch, verbose=0).history["accuracy"]
        return logs["loss"][0]

    for found, weights in (
        (cross_entropy(batch), np.ones(5)),
        (cross_entropy(batch, sample_weight=of_images), of_images[known]),
        (cross_entropy(IMAGES, LABELS, sample_weight=of_images[:, None]), of_images[known]),
        (cross_entropy(pairs), of_images[known]),
        (cross_entropy(batch, class_weight=of_classes), in_order),
        (cross_entropy(dataset, class_weight=of_classes), in_order),
        (cross_entropy(IMAGES, LABELS, class_weight=of_classes), in_order),
        (cross_entropy(pairs, class_weight=of_classes), in_order * of_images[known]),
        (cross_entropy(batch, class_weight=dict.fromkeys(range(3), 0.0)), np.zeros(5)),
        (model.train_on_batch(batch, class_weight=of_classes)[0], in_order),
        (model.train_on_batch(batch)[0], np.ones(5)),
    ):
        np.testing.assert_allclose(found, (weights * each).mean(), rtol=1e-5, atol=1e-7)
    evaluated = model.evaluate(batch, sample_weight=of_images, verbose=0)[0]
    np.testing.assert_allclose(evaluated, (of_images[known] * each).mean(), rtol=1e-5)


def test_class_weights_of_one_training_are_not_those_of_the_next():
    model = classifier()
    model.run_eagerly = False
    losses = [
        model.fit({"image": IMAGES, "label": LABELS}, class_weight=w, verbose=0).history["loss"][0]
        for w in (None, {0: 0.0, 1: 0.0, 2: 0.0}, None)
    ]
    np.testing.assert_allclose(losses, [losses[0], 0.0, losses[0]], rtol=1e-5)
    assert losses[0] > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weight": {3: 1.0}}, "classes, 0 to 2, to numbers >= 0. Received: {3: 1.0}"),
        ({"class_weight": {"a": 1.0}}, "classes, 0 to 2"),
        ({"class_weight": {0: -1.0}}, "numbers >= 0"),
        ({"class_weight": {0: np.nan}}, "numbers >= 0"),
        ({"sample_weight": np.ones((8, 2))}, r"one sample_weight for each image.*\(8, 2\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit({"image": IMAGES, "label": LABELS}, verbose=0, **options)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.eye(3)[np.abs(LABELS)], r"Received shape \(8, 3\).*labels.argmax\(axis=-1\)"),
        (LABELS[:, None], r"Received shape \(8, 1\).*labels\[:, 0\]"),
        (LABELS / 2, r"type float64. Pass labels.astype\(\"int32\"\)"),
        (
            np.abs(LABELS) + 1,
            r"labels from 0 to 2.*from 1 to 3. Classes count from 0: pass labels - 1",
        ),
        (LABELS * 5, "labels from 0 to 2.*Received labels from -5 to 10.$"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    model = classifier()
    for data in ((IMAGES, labels), ({"image": IMAGES, "label": labels},)):
        with pytest.raises(ValueError, match=message):
            model.fit(*data, verbose=0)
        with pytest.raises(ValueError, match=message):
            model.fit(IMAGES, LABELS, validation_data=data, verbose=0)
        if "Received shape" in message:
            with pytest.raises(ValueError, match="Expected labels as integers"):
                model.fit(tf.data.Dataset.from_tensor_slices(data).batch(4), verbose=0)


def test_predict_gives_logits_of_arrays_and_of_batches_with_labels():
    model = classifier(views=Rotations())
    expected = model.classifier.predict(IMAGES, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices({"image": IMAGES, "label": LABELS}).batch(3)
    for data in (IMAGES, {"image": IMAGES, "label": LABELS}, batches):
        np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(IMAGES), expected, rtol=1e-5, atol=1e-6)
