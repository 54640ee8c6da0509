"""ProbeRow, NetworkRow, comparison_rows and what they are made of."""

import keras
import numpy as np
import pytest

from cpc_keras.data import ImageData, Splits
from cpc_keras.evaluation import (
    COMPARISON_ROWS,
    LinearProbe,
    NetworkRow,
    ProbeRow,
    comparison_rows,
    extract_features,
    image_classifier,
    nearest_images,
    whole_image_cnn,
)


def _splits():
    # Class 0 is bright on the left, class 1 on the right.
    rng = np.random.default_rng(0)

    def data(n):
        images = rng.integers(0, 60, (n, 8, 8, 1), "uint8")
        labels = np.arange(n) % 2
        images[labels == 0, :, :4] += 150
        images[labels == 1, :, 4:] += 150
        return ImageData(images, labels=labels)

    return Splits(data(64), data(32))


def _encoder():
    return keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        + [keras.layers.Dense(16, activation="relu")]
    )


@pytest.fixture(scope="module")
def network_row():
    splits = _splits()
    return NetworkRow(
        "net",
        image_classifier(_encoder(), num_classes=2),
        train_images=splits.train.images,
        test_images=splits.test.images,
        image_augmentation=None,
        num_steps=lambda num_labels: 30,
        settings=({"learning_rate": 1e-2}, {"learning_rate": 0.0}),
    )


def test_a_network_row_learns_what_can_be_learned(network_row):
    splits = _splits()
    index = np.arange(16)
    probabilities = network_row.fit_predict(
        index, splits.train.labels[index], setting={"learning_rate": 1e-2}
    )
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == splits.test.labels).mean() > 0.95


def test_every_fit_starts_from_the_same_weights(network_row):
    index, labels = np.arange(16), _splits().train.labels[:16]
    untrained = network_row.fit_predict(index, labels, setting={"learning_rate": 0.0})
    network_row.fit_predict(index, labels, setting={"learning_rate": 1e-2})
    again = network_row.fit_predict(index, labels, setting={"learning_rate": 0.0})
    np.testing.assert_array_equal(untrained, again)


def test_another_backend_is_told_where_networks_train(monkeypatch):
    splits, network = _splits(), image_classifier(_encoder(), num_classes=2)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(NotImplementedError, match="KERAS_BACKEND=tensorflow"):
        NetworkRow(
            "net",
            network,
            train_images=splits.train.images,
            test_images=splits.test.images,
            image_augmentation=None,
            num_steps=lambda num_labels: 5,
        )


def test_a_fit_leaves_the_weights_that_other_rows_share_as_they_were():
    encoder = _encoder()
    splits = _splits()
    row = NetworkRow(
        "net",
        image_classifier(encoder, num_classes=2),
        train_images=splits.train.images,
        test_images=splits.test.images,
        image_augmentation=None,
        num_steps=lambda num_labels: 5,
    )
    before = encoder.get_weights()
    row.fit_predict(np.arange(16), splits.train.labels[:16], setting={"learning_rate": 1e-2})
    for now, then in zip(encoder.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_network_row_can_start_at_the_probe_on_its_features():
    splits, encoder = _splits(), _encoder()
    row = NetworkRow(
        "net",
        # Three classes, of which the labels show two.
        image_classifier(encoder, num_classes=3),
        train_images=splits.train.images,
        test_images=splits.test.images,
        image_augmentation=None,
        num_steps=lambda num_labels: 1,
        start_at_probe=True,
    )
    index = np.arange(4)
    labels = splits.train.labels[index] + 1
    untrained = row.fit_predict(index, labels, setting={"learning_rate": 0.0})

    def normalised(images):
        features = encoder.predict(images, verbose=0)
        deviation = np.sqrt(features.var(axis=1, keepdims=True) + 1e-5)
        return (features - features.mean(axis=1, keepdims=True)) / deviation

    probe = LinearProbe(1.0)
    train, test = (normalised(part.images) for part in splits)
    probe.fit(train[index], labels, scale_by=train)
    expected = probe.predict_proba(test)
    np.testing.assert_array_equal(untrained.argmax(axis=1), probe.classes[expected.argmax(axis=1)])
    ratio = untrained[:, 1:] / untrained[:, 1:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ratio, expected, atol=1e-3)


def _probe_row(augmentation):
    splits = _splits()
    return ProbeRow(
        "pixels",
        lambda images: images.reshape(len(images), -1).astype("float32"),
        train_images=splits.train.images,
        test_images=splits.test.images,
        num_classes=2,
        image_augmentation=augmentation,
    )


def test_a_probe_learns_from_augmented_copies():
    class Mirror(keras.layers.Layer):
        def call(self, images):
            return images[:, :, ::-1]

    plain, mirrored = _probe_row(None), _probe_row(Mirror())
    index, labels = np.arange(8), _splits().train.labels[:8]
    held_out = np.arange(20, 40)
    setting = plain.settings[0]
    sure = plain.fit_predict(index, labels, setting=setting, held_out=held_out).max(axis=1)
    unsure = mirrored.fit_predict(index, labels, setting=setting, held_out=held_out).max(axis=1)
    # A class and its mirror image are the two classes: copies under the wrong class confuse.
    assert sure.min() > 0.9 > unsure.mean()


def test_augmented_copies_keep_the_labels_of_their_images():
    row = _probe_row(keras.layers.Identity())
    index, labels = np.arange(8), _splits().train.labels[:8]
    probabilities = row.fit_predict(index, labels, setting=row.settings[0])
    # Sure, not only right: mixed-up labels still leave a narrow majority.
    assert probabilities[np.arange(32), _splits().test.labels].min() > 0.9


def test_augmented_copies_are_the_same_in_every_fit():
    row = _probe_row(keras.layers.RandomTranslation(0.3, 0.3))
    setting, labels = row.settings[0], _splits().train.labels
    some, others = np.arange(8), np.arange(8, 16)
    first = row.fit_predict(some, labels[some], setting=setting)
    # Another fit between: the newest copies are kept, and must not be taken for these.
    between = row.fit_predict(others, labels[others], setting=setting)
    again = row.fit_predict(some, labels[some], setting=setting)
    np.testing.assert_array_equal(first, again)
    assert (first != between).any()


def test_held_out_training_images_are_predicted_on_demand(network_row):
    index, labels = np.arange(16), _splits().train.labels[:16]
    setting = {"learning_rate": 0.0}
    held_out = network_row.fit_predict(index, labels, setting=setting, held_out=np.arange(20, 25))
    images = _splits().train.images[20:25]
    expected = keras.ops.softmax(network_row.network(images.astype("float32")))
    np.testing.assert_allclose(held_out, expected, atol=1e-6)


def test_a_network_row_trains_on_augmented_images_under_their_labels():
    class Brighter(keras.layers.Layer):
        def call(self, images, training=False):
            return images + 1000.0 if training else images

    splits, seen = _splits(), []
    row = NetworkRow(
        "net",
        image_classifier(_encoder(), num_classes=2),
        train_images=splits.train.images,
        test_images=splits.test.images,
        image_augmentation=Brighter(),
        num_steps=lambda num_labels: 4,
        batch_size=6,
    )
    row.network.fit = lambda batches, **options: seen.extend(batches.take(4))
    index = np.array([3, 8, 11, 20, 31, 40])
    labels = splits.train.labels[index]
    probabilities = row.fit_predict(index, labels, setting=row.settings[0])
    expected = keras.ops.softmax(row.network(splits.test.images.astype("float32")))
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    for images, given in seen:
        for image, label in zip(images.numpy() - 1000, given.numpy(), strict=True):
            (place,) = np.flatnonzero((splits.train.images[index] == image).all(axis=(1, 2, 3)))
            assert label == labels[place]


def test_the_rate_of_a_network_row_warms_up_and_falls_as_a_cosine():
    splits, rates = _splits(), []
    network = image_classifier(_encoder(), num_classes=2)
    row = NetworkRow(
        "net",
        network,
        train_images=splits.train.images,
        test_images=splits.test.images,
        image_augmentation=None,
        num_steps=lambda num_labels: 20,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_batch_begin=lambda batch, logs: rates.append(
                    float(row.network.optimizer.learning_rate)
                )
            )
        ],
    )
    row.fit_predict(np.arange(8), splits.train.labels[:8], setting={"learning_rate": 0.5})
    falling = 0.25 * (1 + np.cos(np.pi * np.arange(18) / 18))
    np.testing.assert_allclose(rates, [0.25, 0.5, *falling], rtol=1e-5)


@pytest.mark.parametrize(("class_weight", "expected"), [(None, 0.75), ("balanced", 0.5)])
@pytest.mark.parametrize("start_at_probe", [False, True])
def test_of_images_that_tell_nothing_a_network_learns_how_much_classes_count(
    class_weight, expected, start_at_probe
):
    images, labels = np.zeros((40, 8, 8, 1), "uint8"), (np.arange(40) % 4 == 0).astype(int)
    row = NetworkRow(
        "net",
        image_classifier(_encoder(), num_classes=2),
        train_images=images,
        test_images=images[:1],
        image_augmentation=None,
        num_steps=lambda num_labels: 150,
        batch_size=40,
        start_at_probe=start_at_probe,
        class_weight=class_weight,
    )
    # What the probe gives stays, where nothing is learned.
    rate = 0.0 if start_at_probe else 0.05
    ((first, _),) = row.fit_predict(np.arange(40), labels, setting={"learning_rate": rate})
    assert first == pytest.approx(expected, abs=0.02)


def test_the_comparison_has_its_six_rows_with_as_many_trials_each():
    rows = comparison_rows(_encoder(), _encoder(), _splits(), num_steps=lambda n: 2)
    assert [row.name for row in rows] == [
        "cpc_frozen",
        "random_frozen",
        "raw_pixels",
        "cpc_fine_tuned",
        "supervised",
        "cnn",
    ]
    assert {len(row.settings) for row in rows} == {2}
    index, labels = np.arange(8), _splits().train.labels[:8]
    for row in rows[:3]:
        probabilities = row.fit_predict(index, labels, setting=row.settings[0])
        assert (probabilities.argmax(axis=1) == _splits().test.labels).mean() > 0.9


def test_a_row_is_the_same_whichever_others_are_measured():
    def measure(*names):
        rows = comparison_rows(
            _encoder(),
            _encoder(),
            _splits(),
            num_steps=lambda n: 2,
            augmentation="photos",
            names=names,
        )
        assert {row.name for row in rows} == {*names}
        row = rows[-1]
        return row.fit_predict(np.arange(8), _splits().train.labels[:8], setting=row.settings[0])

    np.testing.assert_array_equal(measure("cpc_frozen", "cnn"), measure(*COMPARISON_ROWS))
    with pytest.raises(ValueError, match=r"Expected rows of cpc_frozen, .*Received: cnm"):
        measure("cnm")


def test_the_rows_of_the_comparison_have_the_encoder_that_they_are_named_for():
    encoder, random_encoder = _encoder(), _encoder()
    random_encoder.set_weights([np.zeros_like(w) for w in random_encoder.get_weights()])
    made = comparison_rows(encoder, random_encoder, _splits(), num_steps=lambda n: 2)
    rows = {row.name: row for row in made}
    for name, expected in (("cpc_fine_tuned", encoder), ("supervised", random_encoder)):
        kernel = rows[name].network.get_weights()[0]
        np.testing.assert_array_equal(kernel, expected.get_weights()[0])
    index, labels = np.arange(8), _splits().train.labels[:8]

    def spread(name):
        row = rows[name]
        return np.ptp(row.fit_predict(index, labels, setting=row.settings[0]), axis=0).max()

    assert spread("random_frozen") == 0 < spread("cpc_frozen")


@pytest.mark.parametrize("num_parameters", [30_000, 300_000, 3_000_000])
def test_the_ordinary_cnn_is_of_the_size_that_was_asked_for(num_parameters):
    cnn = whole_image_cnn((28, 28, 1), num_classes=10, num_parameters=num_parameters)
    assert cnn.count_params() == pytest.approx(num_parameters, rel=0.1)


def test_features_that_are_not_finite_are_refused():
    encoder = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x / x)])
    with pytest.raises(ValueError, match="NaN or infinite features for 1 of 2 images"):
        extract_features(encoder, np.array([[1.0, 1.0], [0.0, 1.0]]))


def test_features_do_not_depend_on_the_batch_size():
    images = _splits().test.images
    encoder = _encoder()
    np.testing.assert_allclose(
        extract_features(encoder, images, batch_size=5),
        extract_features(encoder, images, batch_size=32),
        atol=1e-6,
    )


def test_nearest_images_are_those_of_a_loop_over_all_pairs():
    rng = np.random.default_rng(0)
    queries, features = rng.normal(size=(3, 4)), rng.normal(size=(20, 4)) * [1, 2, 3, 4] + 5
    index, similarity = nearest_images(queries, features, num_neighbors=4)
    for q in range(3):
        a = (queries[q] - features.mean(0)) / features.std(0)
        cosines = []
        for row in features:
            b = (row - features.mean(0)) / features.std(0)
            cosines.append(a @ b / np.sqrt((a @ a) * (b @ b)))
        np.testing.assert_array_equal(index[q], np.argsort(cosines)[::-1][:4])
        np.testing.assert_allclose(similarity[q], np.sort(cosines)[::-1][:4], atol=1e-5)


def test_networks_of_16_bits_are_trained_with_a_scaled_loss():
    splits = _splits()
    encoder = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten()]
        + [keras.layers.Dense(4, activation="relu", dtype="mixed_float16")]
    )
    options = {"train_images": splits.train.images, "test_images": splits.test.images}
    options |= {"image_augmentation": None, "num_steps": lambda num_labels: 4}
    scaled = NetworkRow("net", image_classifier(encoder, num_classes=2), **options)
    plain = NetworkRow("net", image_classifier(_encoder(), num_classes=2), **options)
    assert isinstance(scaled.network.optimizer, keras.optimizers.LossScaleOptimizer)
    assert not isinstance(plain.network.optimizer, keras.optimizers.LossScaleOptimizer)
    index = np.arange(16)
    found = [
        scaled.fit_predict(index, splits.train.labels[index], setting={"learning_rate": 1e-2})
        for _ in range(2)
    ]
    # The scale, too, begins anew with each fit.
    np.testing.assert_array_equal(*found)
    # A step whose gradients overflow is left out, and halves the scale.
    assert 1 <= int(scaled.network.optimizer.inner_optimizer.iterations) <= 4
