"""Instance discrimination: its loss by the paper, its bank, and batches without an index."""

import keras
import numpy as np
import pytest

from cpc_keras.data import image_batches
from cpc_keras.models import InstanceModel, describe
from cpc_keras.models.describe import Scores

SHAPE = (8, 8, 1)


def images_of(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), "uint8")


def build(num_images=16, **options):
    return InstanceModel(SHAPE, num_images=num_images, encoder="mlp", dim=8, seed=0, **options)


def unit(codes):
    return codes / np.linalg.norm(codes, axis=-1, keepdims=True)


@pytest.mark.parametrize("weight", [0.0, 3.0])
def test_loss_and_accuracy_are_those_of_the_softmax_over_the_bank(weight):
    model = build(temperature=0.2, proximal_weight=weight)
    model.compile()
    codes = np.random.default_rng(0).normal(size=(5, 8)).astype("float32")
    index = np.array([3, 15, 0, 3, 7])
    bank = np.float64(np.asarray(model.bank.directions))
    loss = model.compute_loss(x={"index": index}, y_pred=codes, training=False)
    losses, hits = [], []
    for v, i in zip(unit(np.float64(codes)), index, strict=True):
        scores = [np.exp(v @ row / 0.2) for row in bank]
        losses.append(-np.log(scores[i] / sum(scores)) + weight * sum((v - bank[i]) ** 2))
        hits.append(max(scores) == scores[i])
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(model.accuracy.result(), np.mean(hits), rtol=1e-6)
    np.testing.assert_array_equal(model.bank.directions, bank.astype("float32"))


def test_z_is_that_of_the_first_batch_and_noise_is_drawn_from_the_bank():
    model = build(temperature=0.5, num_negatives=3000)
    model.compile()
    bank = np.float64(np.asarray(model.bank.directions))
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4, 8)).astype("float32")
    loss = model.compute_loss(x={"index": np.arange(4)}, y_pred=first)
    exact = np.mean(np.exp(unit(first) @ bank.T / 0.5).sum(axis=1))
    found = float(model.log_z)
    np.testing.assert_allclose(found, np.log(exact), atol=0.05)
    # The expectation of the loss over what is drawn, with the Z that was found.
    scores = np.exp(unit(np.float64(first)) @ bank.T / 0.5) / np.exp(found)
    h = scores / (scores + 3000 / 16)
    expected = -np.log(h[np.arange(4), np.arange(4)]) - 3000 * np.log(1 - h).mean(axis=1)
    np.testing.assert_allclose(loss, expected.mean(), rtol=0.02)
    model.compute_loss(x={"index": np.arange(4)}, y_pred=second)
    assert float(model.log_z) == found


def test_training_moves_the_rows_of_the_batch_and_evaluation_moves_none():
    model = build(bank_momentum=0.25)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    images, before = images_of(4), np.asarray(model.bank.directions)
    raw = np.float64(model.head(model.encoder(images)))
    # Each number of the codes by its mean and variance over the batch.
    codes = unit((raw - raw.mean(axis=0)) / np.sqrt(raw.var(axis=0) + 1e-3))
    data = {"image": images, "index": np.array([2, 5, 9, 11])}
    model.evaluate(data, verbose=0)
    np.testing.assert_array_equal(model.bank.directions, before)
    model.fit(data, batch_size=4, verbose=0)
    expected = before.copy()
    expected[data["index"]] = unit(0.25 * before[data["index"]] + 0.75 * codes)
    np.testing.assert_allclose(model.bank.directions, expected, rtol=1e-4, atol=1e-5)


def test_normalized_codes_of_untrained_networks_do_not_all_point_the_same_way():
    images = images_of(64)
    keras.utils.set_random_seed(0)  # The weights, which `seed` of the model does not draw.

    def mean_cosine(**options):
        # One network's is anything from 0.1 to 0.6 where codes are not normalized.
        networks = [build(**options) for _ in range(8)]
        codes = [unit(np.asarray(network(images, training=True))) for network in networks]
        return np.mean([(c @ c.T)[~np.eye(64, dtype=bool)].mean() for c in codes])

    assert build(normalize_codes=False).code_normalization is None
    assert mean_cosine(normalize_codes=False) > 0.2 > 0.05 > abs(mean_cosine())


@pytest.mark.parametrize("options", [{}, {"num_negatives": 64}], ids=["softmax", "noise"])
def test_it_learns_to_tell_its_images_apart_and_comes_back_with_its_bank(options, tmp_path):
    model = build(temperature=0.1, proximal_weight=0.1, **options)
    model.compile(optimizer=keras.optimizers.Adam(3e-3))

    def accuracy():
        batches = image_batches(images_of(16), batch_size=8, epochs=1)
        return model.evaluate(batches, verbose=0, return_dict=True)["accuracy"]

    assert accuracy() < 0.5
    model.fit(image_batches(images_of(16), batch_size=8, epochs=40), verbose=0)
    assert accuracy() > 0.9
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.bank.directions, model.bank.directions)
    assert {k: v for k, v in again.get_config().items() if k != "dtype"} == {
        k: v for k, v in model.get_config().items() if k != "dtype"
    }
    if options:
        assert float(again.log_z) == float(model.log_z) != 0


@pytest.mark.parametrize("batches", [False, True])
def test_batches_that_do_not_tell_which_image_is_which_get_an_answer(batches):
    import tensorflow as tf

    model = build()
    model.compile(optimizer="sgd")
    for data in (images_of(4), {"image": images_of(4), "label": np.zeros(4)}):
        if batches:
            data = tf.data.Dataset.from_tensor_slices(data).batch(2)
        with pytest.raises(ValueError, match=r"which image is which.*fit\(image_batches\(images"):
            model.fit(data, verbose=0)
        with pytest.raises(ValueError, match="which image is which"):
            model.evaluate(data, verbose=0)


@pytest.mark.parametrize("index", [[0, 1, 2, 16], [-1, 0, 1, 2]])
def test_an_index_that_is_not_in_the_bank_gets_an_answer(index):
    model = build()
    model.compile(optimizer="sgd")
    told = rf"from 0 to 15.*Received {min(index)} to {max(index)}"
    with pytest.raises(ValueError, match=told):
        model.fit({"image": images_of(4), "index": np.array(index)}, verbose=0)


def test_codes_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(optimizer="adam")
    data = {"image": images_of(16), "index": np.arange(16)}
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()
    assert model.network.output.dtype == model.bank(model(images_of(2))).dtype == "float32"
    assert model.encoder.layers[1].compute_dtype == "bfloat16"


def test_what_a_step_costs_is_told():
    model = build()
    told = describe(model, batch_size=5)
    assert told.scores == {"image": Scores(5, 16, 8)}
    assert told.memory["bank"] == 4 * 16 * 8
    assert describe(build(num_negatives=9), batch_size=5).scores["image"].num_candidates == 10


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"proximal_weight": -1}, {"num_negatives": 0}, {"num_images": 1}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"xpected|must be"):
        build(**wrong)
