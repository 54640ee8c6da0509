"""The pair form of CPC: its loss by the paper, what it learns, what it refuses."""

import keras
import numpy as np
import pytest

from cpc_keras.augmentations import image_augmentation
from cpc_keras.methods import cpc_pair
from cpc_keras.models import CPCModel, PairModel, PretrainingModel
from cpc_keras.views import FramePair, TwoViews

SHAPE = (16, 16, 1)


def images_of(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), "uint8")


def by_the_paper(codes_x, codes_y):
    """Mean over pairs of -log softmax_i <z(y_i), z(x)> at the true i, term by term, in float64."""
    losses, hits = [], []
    for n, x in enumerate(np.float64(codes_x)):
        scores = [float(np.dot(x, y)) for y in np.float64(codes_y)]
        top = max(scores)
        log_sum = top + np.log(sum(np.exp(s - top) for s in scores))
        losses.append(log_sum - scores[n])
        hits.append(all(scores[n] > s for i, s in enumerate(scores) if i != n))
    return np.mean(losses), np.mean(hits)


def test_loss_accuracy_and_bound_are_the_paper_s():
    model = cpc_pair(SHAPE, encoder="tiny", seed=0)
    model.compile()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 64)).astype("float32")
    loss = model.compute_loss(y_pred={"predictions": x, "targets": y})
    expected, hits = by_the_paper(x, y)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    found = {m.name: float(m.result()) for m in model.metrics}
    np.testing.assert_allclose(found["accuracy"], hits, rtol=1e-6)
    np.testing.assert_allclose(found["mutual_information"], np.log(6) - expected, rtol=1e-4)


def test_codes_are_compared_as_they_are_and_both_halves_share_the_encoder():
    # Views that do nothing: both halves are the code of the image itself.
    same = TwoViews(keras.layers.Activation("linear"))
    model = PairModel(SHAPE, views=same, encoder="tiny")
    images = images_of(4)
    outputs = model(images)
    features = model.encoder(images)
    for half in outputs.values():
        np.testing.assert_allclose(half, features, rtol=1e-5, atol=1e-6)
    assert model.info_nce.scale == 1.0 and model.info_nce.similarity == "dot"


def test_it_learns_to_find_the_partners_of_a_batch():
    model = cpc_pair(SHAPE, encoder="mlp", image_augmentation="digits", seed=0)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    history = model.fit(images_of(32), epochs=60, batch_size=32, verbose=0).history
    assert np.mean(history["accuracy"][-5:]) > 4 / 32
    assert np.mean(history["loss"][-5:]) < 0.8 * np.log(32)


def test_mixed_precision_trains_and_gives_float32_features():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = cpc_pair(SHAPE, encoder="mlp", seed=0)
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(optimizer="adam")
    assert np.isfinite(model.fit(images_of(8), verbose=0).history["loss"]).all()
    assert model.network.output["targets"].dtype == "float32"
    assert model.encoder(images_of(2)).dtype == "float32"
    assert model.encoder.layers[1].compute_dtype == "bfloat16"


def test_frames_train_and_are_told_apart_from_images():
    clips = np.random.default_rng(0).integers(0, 256, (8, 4, *SHAPE), "uint8")
    model = cpc_pair(SHAPE, frame_gap=2, encoder="mlp", seed=0)
    assert isinstance(model.views, FramePair)
    model.compile(optimizer="adam")
    model.fit(clips, batch_size=4, verbose=0)
    assert set(model.evaluate(clips, batch_size=4, verbose=0, return_dict=True)) == {
        "loss",
        "accuracy",
        "mutual_information",
    }
    with pytest.raises(ValueError, match=r"\(batch, time, 16, 16, 1\). Received shape \(8, 16"):
        model.fit(images_of(8), verbose=0)


def test_a_head_is_compared_in_training_and_left_out_of_the_encoder():
    head = keras.Sequential([keras.layers.Dense(16, activation="relu"), keras.layers.Dense(8)])
    model = cpc_pair(SHAPE, encoder="tiny", head=head, similarity="cosine", scale=2.0)
    assert model(images_of(2))["targets"].shape == (2, 8)
    assert model.encoder(images_of(2)).shape == (2, 64)
    with pytest.raises(ValueError, match="must return vectors"):
        cpc_pair(SHAPE, encoder="tiny", head=keras.layers.Reshape((8, 8)))


def test_sampled_candidates_are_as_many_as_asked():
    model = cpc_pair(SHAPE, encoder="mlp", candidates="sampled", num_negatives=3, seed=0)
    assert model.info_nce.num_candidates(32, 1, 1) == 4
    model.compile(optimizer="adam")
    model.fit(images_of(32), verbose=0)


def test_it_saves_loads_and_exports(tmp_path):
    model = cpc_pair(SHAPE, encoder="mlp", head=keras.layers.Dense(8), seed=0)
    model.compile(optimizer="adam")
    model.fit(images_of(8), verbose=0)
    expected = model.encoder(images_of(3))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.encoder(images_of(3)), expected)
    loaded.fit(images_of(8), verbose=0)
    model.export(tmp_path / "artifact")
    for kind in (PairModel, PretrainingModel):
        preset = kind.from_preset(tmp_path / "artifact")
        np.testing.assert_array_equal(preset.encoder(images_of(3)), expected)
    encoder = keras.saving.load_model(tmp_path / "artifact")
    np.testing.assert_allclose(encoder(images_of(3)), expected, rtol=1e-5, atol=1e-6)
    assert "from cpc_keras.models import PairModel" in (tmp_path / "artifact/README.md").read_text()
    with pytest.raises(ValueError, match=r"PairModel. Expected: CPCModel. Call PairModel"):
        CPCModel.from_preset(tmp_path / "artifact")


def test_bad_arguments_get_an_answer():
    views = TwoViews(image_augmentation("photos", SHAPE))
    with pytest.raises(ValueError, match="views must be a layer that makes pairs"):
        PairModel(SHAPE, views=None)
    with pytest.raises(ValueError, match="views must be a layer that makes pairs"):
        PairModel(SHAPE, views=keras.layers.Dropout(0.5))
    with pytest.raises(ValueError, match=r"grid positions apart\. Received: 'same_row'"):
        PairModel(SHAPE, views=views, candidates="same_row")
    with pytest.raises(ValueError, match="both views would be the image itself"):
        cpc_pair(SHAPE, image_augmentation="none")
    normalized = keras.Sequential([keras.Input(SHAPE), keras.layers.BatchNormalization()])
    with pytest.raises(ValueError, match="trainable batch normalisation"):
        PairModel(SHAPE, views=views, encoder=normalized)
    model = PairModel(SHAPE, views=views, encoder="tiny")
    model.compile()
    with pytest.raises(ValueError, match="single candidate"):
        model.fit(images_of(33), verbose=0)
    with pytest.raises(ValueError, match=r"Received \(8, 8, 1\)"):
        model.fit(np.zeros((4, 8, 8, 1)), verbose=0)
