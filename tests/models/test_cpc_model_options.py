"""Scores, context networks, anchors and terms of CPCModel, against NumPy."""

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel

SHAPE = (16, 20, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), "uint8")
TURNS = {"down": 0, "up": 2, "left": 1, "right": -1}


def build(eagerly=True, **kwargs):
    arguments = {
        "patch_encoder": "tiny",
        "patch_size": 4,
        "patch_stride": 2,
        "offsets": (2, 3),
        "directions": ("down", "left"),
        "context_blocks": 1,
        "context_filters": 8,
        "patch_augmentation": None,
        "seed": 1,
        **kwargs,
    }
    keras.utils.set_random_seed(0)
    model = CPCModel(SHAPE, **arguments)
    model.compile(optimizer="sgd", run_eagerly=eagerly)
    return model


def scores_of(model, name, offset, kind):
    """Scores `[predictions, candidates]` and the index of each true candidate, in NumPy loops."""
    outputs = {k: np.asarray(v, "float64") for k, v in model.network(IMAGES).items()}
    targets = np.rot90(outputs["targets"], TURNS[name.split("_")[0]], axes=(1, 2))
    batch, rows, columns, _dim = targets.shape
    scores, positives = [], []
    for b in range(batch):
        for r in range(rows - offset):
            for c in range(columns):
                places = {
                    "all": [
                        (n, i, j) for n in range(batch) for i in range(rows) for j in range(columns)
                    ],
                    "same_row": [(n, r + offset, j) for n in range(batch) for j in range(columns)],
                    "same_position": [(n, r + offset, c) for n in range(batch)],
                }[kind]
                prediction = outputs[name][b, r, c]
                values = []
                for place in places:
                    target = targets[place]
                    value = target @ prediction
                    if model.get_config()["score"] == "cosine":
                        value /= np.linalg.norm(target) * np.linalg.norm(prediction)
                    values.append(value)
                scores.append(values)
                positives.append(places.index((b, r + offset, c)))
    return np.array(scores), np.array(positives)


def loss_and_accuracy(scores, positives):
    true = scores[np.arange(len(scores)), positives]
    top = scores.max(axis=1)
    loss = np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top - true
    others = np.where(np.arange(scores.shape[1]) == positives[:, None], -np.inf, scores)
    return loss.mean(), (others.max(axis=1) < true).mean()


@pytest.mark.parametrize(
    ("score", "factor", "scale"),
    [
        ("projected", 0.1, None),
        ("bilinear", 1.0, None),
        ("cosine", 10.0, None),
        ("cosine", 4.0, 4.0),
    ],
)
def test_each_score_is_what_the_papers_write(score, factor, scale):
    model = build(score=score, scale=scale, log_terms=True)
    if score == "bilinear":
        # The targets are the codes themselves.
        codes = model.image_encoder(SHAPE, return_grid=True)(IMAGES)["grid"]
        np.testing.assert_allclose(model.network(IMAGES)["targets"], codes, rtol=1e-4, atol=1e-6)
    logs = model.evaluate(IMAGES, verbose=0, return_dict=True)
    losses, accuracies = [], []
    for direction in ("down", "left"):
        for offset in (2, 3):
            name = f"{direction}_{offset}"
            scores, positives = scores_of(model, name, offset, "all")
            loss, accuracy = loss_and_accuracy(factor * scores, positives)
            losses.append(loss)
            accuracies.append(accuracy)
            bound = np.log(scores.shape[1]) - loss
            np.testing.assert_allclose(logs[f"mutual_information_{name}"], bound, atol=1e-4)
            np.testing.assert_allclose(logs[f"accuracy_{name}"], accuracy, atol=1e-6)
    np.testing.assert_allclose(logs["loss"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(logs["accuracy"], np.mean(accuracies), atol=1e-6)
    np.testing.assert_allclose(model.term_losses, losses, rtol=1e-5)


@pytest.mark.parametrize("kind", ["same_row", "same_position"])
def test_accuracy_among_the_patches_of_a_row_and_of_a_position(kind):
    model = build(log_terms=True)
    logs = model.evaluate(IMAGES, verbose=0, return_dict=True)
    accuracies = [
        loss_and_accuracy(*scores_of(model, f"{direction}_{offset}", offset, kind))[1]
        for direction in ("down", "left")
        for offset in (2, 3)
    ]
    np.testing.assert_allclose(logs[f"accuracy_{kind}"], np.mean(accuracies), atol=1e-6)
    assert logs[f"accuracy_{kind}"] > logs["accuracy"]  # fewer candidates


def test_terms_are_logged_on_demand_alone():
    logs = build().evaluate(IMAGES, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "accuracy", "mutual_information"}


def test_anchors_change_the_loss_from_step_to_step_and_not_on_average():
    whole = build().evaluate(IMAGES, verbose=0)[0]
    some = build(num_anchors=20, eagerly=False)
    drawn = [float(some.compute_loss(y_pred=some.network(IMAGES))) for _ in range(40)]
    assert len(set(drawn)) > 35
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - whole) < 4 * error


@pytest.mark.parametrize(
    ("network", "shared"),
    [
        ("masked", False),
        ("gated_pixel_cnn", True),
        pytest.param("row_gru", True, marks=pytest.mark.slow),
    ],
)
def test_every_context_network_trains_saves_and_makes_features(network, shared, tmp_path):
    model = build(context_network=network, shared_context=shared, features="contexts")
    before = model.evaluate(IMAGES, verbose=0)[0]
    model.compile(optimizer=keras.optimizers.Adam(1e-3), run_eagerly=True)
    model.fit(IMAGES, epochs=8, verbose=0)
    assert model.evaluate(IMAGES, verbose=0)[0] < before
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.encoder(IMAGES), model.encoder(IMAGES), rtol=1e-5, atol=1e-6)


def test_directions_share_a_context_network_or_have_their_own():
    shared, separate = build(), build(shared_context=False)
    weights = sum(np.prod(w.shape) for w in shared.context_network.weights)
    assert set(separate.context_network) == {"down", "left"}
    more = separate.network.count_params() - shared.network.count_params()
    assert more == weights


def test_the_encoder_can_run_over_whole_images_at_once():
    model = build()
    dense = model.image_encoder((32, 28, 1), dense=True, return_grid=True)
    images = np.zeros((2, 32, 28, 1), "uint8")
    before = np.asarray(dense(images)["features"])
    assert before.shape == (2, 64)
    # The same weights, not a copy.
    model.patch_encoder.set_weights([w + 0.1 for w in model.patch_encoder.get_weights()])
    assert (np.asarray(dense(images)["features"]) != before).any()
    with pytest.raises(ValueError, match="dense=True"):
        build(features="contexts").image_encoder(SHAPE, dense=True)
