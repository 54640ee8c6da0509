"""The model of pretext tasks: its loss by the formula, its tiles, what it refuses."""

import keras
import numpy as np
import pytest

from cpc_keras.models import PretextModel, describe
from cpc_keras.models.describe import Scores
from cpc_keras.views import JigsawTiles, Rotations

SHAPE = (12, 12, 1)


def images_of(count, seed=0, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), "uint8")


def puzzles(**options):
    views = JigsawTiles(3, spacing=4, jitter=1, num_permutations=6, seed=0)
    return PretextModel(SHAPE, views=views, encoder="tiny", **options)


def test_loss_and_accuracy_are_those_of_the_softmax():
    model = puzzles()
    model.compile()
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 2, 6)).astype("float32") * 3
    logits[0, 0] = 1.0  # a tie
    labels = rng.integers(0, 6, (5, 2))
    loss = model.compute_loss(y_pred={"logits": logits, "labels": labels})
    losses, hits = [], []
    for row, label in zip(np.float64(logits).reshape(-1, 6), labels.ravel(), strict=True):
        losses.append(-np.log(np.exp(row[label]) / sum(np.exp(s) for s in row)))
        hits.append(all(row[label] > s for i, s in enumerate(row) if i != label))
    np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(model.accuracy.result(), np.mean(hits), rtol=1e-6)
    # From logits: a wrong class by 100 nats costs 100, and not what an epsilon lets it.
    far = np.float32([[[100.0, 0, 0, 0, 0, 0]]])
    loss = model.compute_loss(y_pred={"logits": far, "labels": np.int32([[1]])})
    np.testing.assert_allclose(loss, 100.0, rtol=1e-6)


def test_every_tile_is_encoded_alone_and_the_head_sees_them_in_their_order():
    model = puzzles(hidden_dims=(7,))
    model.views.seed_generator.state.assign([1, 2])
    model.views.grayscale.seed_generator.state.assign([3, 4])
    images = images_of(3).astype("float32")
    told = model(images)
    assert told["logits"].shape == (3, 1, 6) and told["labels"].shape == (3, 1)
    model.views.seed_generator.state.assign([1, 2])
    model.views.grayscale.seed_generator.state.assign([3, 4])
    tiles, labels = model.views(images)
    np.testing.assert_array_equal(told["labels"], labels)
    for image in range(3):
        codes = [np.asarray(model.tower(np.asarray(tiles)[image, 0, i][None])) for i in range(9)]
        logits = model.head(np.concatenate(codes, axis=1))
        np.testing.assert_allclose(told["logits"][image], logits, rtol=1e-4, atol=1e-5)
    assert [layer.units for layer in model.head.layers] == [7, 6]


def test_the_tower_has_the_weights_of_the_encoder_and_training_moves_them():
    model = puzzles()
    assert {id(w) for w in model.tower.weights} == {id(w) for w in model.encoder.weights}
    before = model.encoder(images_of(2))
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    model.fit(images_of(8), verbose=0)
    assert np.abs(np.asarray(model.encoder(images_of(2)) - before)).max() > 1e-4
    whole = PretextModel(SHAPE, views=Rotations(), encoder="tiny")
    assert whole.tower is whole.encoder


def test_images_are_augmented_in_training_alone_and_before_the_task_is_made():
    class Black(keras.layers.Layer):
        def call(self, images, training=False):
            return images * 0.0 if training else images

    model = PretextModel(SHAPE, views=Rotations(), encoder="tiny", image_augmentation=Black())
    bias = model.head.layers[-1].bias
    bias.assign([1.0, 2.0, 3.0, 4.0])
    blind = np.asarray(model(images_of(2), training=True)["logits"])
    np.testing.assert_allclose(blind, np.broadcast_to(blind[:, :1], blind.shape), rtol=1e-5)
    seeing = np.asarray(model(images_of(2))["logits"])
    assert np.abs(seeing - seeing[:, :1]).max() > 1e-3
    named = PretextModel(SHAPE, views=Rotations(), encoder="tiny", image_augmentation="photos")
    assert named.image_augmentation.name == "augment_photos"
    assert named.get_config()["image_augmentation"] == "photos"


def test_dicts_and_pairs_are_taken_and_evaluation_draws_tasks_too():
    model = puzzles()
    model.compile(optimizer="sgd")
    model.fit({"image": images_of(4), "label": np.zeros(4), "index": np.arange(4)}, verbose=0)
    told = model.evaluate(images_of(4), np.zeros(4), verbose=0, return_dict=True)
    assert set(told) == {"loss", "accuracy"}
    labels = [np.asarray(model(images_of(32))["labels"]) for _ in range(2)]
    assert (labels[0] != labels[1]).any()


@pytest.mark.slow
def test_logits_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = puzzles(hidden_dims=(8,))
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(optimizer="adam")
    assert np.isfinite(model.fit(images_of(8), verbose=0).history["loss"]).all()
    assert model.network.output["logits"].dtype == "float32"
    assert model.head.layers[0].compute_dtype == "bfloat16"
    assert model.encoder(images_of(2)).dtype == "float32"


def test_what_a_step_costs_is_told():
    model = puzzles(hidden_dims=(7,))
    told = describe(model, batch_size=5)
    assert told.scores == {"task": Scores(5, 6, 7)}
    tower, head = told.image_flops.values()
    assert head == 2 * 9 * 64 * 7
    assert told.step_flops == 3 * (5 * (tower + head) + 2 * 5 * 6 * 7)
    turned = describe(PretextModel(SHAPE, views=Rotations(), encoder="tiny"), batch_size=5)
    assert turned.scores == {"task": Scores(20, 4, 64)}
    assert "Rotations" in str(turned)


def test_bad_arguments_get_an_answer():
    with pytest.raises(ValueError, match="views must be a layer that makes a task"):
        PretextModel(SHAPE, views=keras.layers.Dropout(0.5))
    with pytest.raises(ValueError, match=r"not over tiles of shape \(3, 3, 1\).*\"small\""):
        PretextModel(SHAPE, views=puzzles().views, encoder="mlp")
    normalized = keras.Sequential([keras.Input(SHAPE), keras.layers.BatchNormalization()])
    with pytest.raises(ValueError, match="trainable batch normalisation"):
        PretextModel(SHAPE, views=Rotations(), encoder=normalized)
    with pytest.raises(ValueError, match="image_augmentation must be"):
        PretextModel(SHAPE, views=Rotations(), image_augmentation=3)
    model = puzzles()
    model.compile()
    with pytest.raises(ValueError, match=r"Received \(8, 8, 1\)"):
        model.fit(np.zeros((4, 8, 8, 1)), verbose=0)
