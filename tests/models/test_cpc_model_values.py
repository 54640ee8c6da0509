"""What CPCModel reports, recomputed in NumPy from what its network returns."""

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel

QUARTER_TURNS = {"down": 0, "up": 2, "left": 1, "right": -1}


def term(targets, predictions, offset, scale):
    """Mean loss, accuracy and mutual information; targets and predictions in the turned frame."""
    batch, rows, columns, dim = targets.shape
    candidates = targets.reshape(-1, dim)
    losses, hits = [], []
    for b in range(batch):
        for r in range(rows - offset):
            for c in range(columns):
                scores = scale * candidates @ predictions[b, r, c]
                true = (b * rows + r + offset) * columns + c
                top = scores.max()
                losses.append(np.log(np.exp(scores - top).sum()) + top - scores[true])
                hits.append((scores >= scores[true]).sum() == 1)
    loss = np.mean(losses)
    return loss, np.mean(hits), np.log(len(candidates)) - loss


@pytest.fixture(scope="module")
def model():
    model = CPCModel(
        (16, 20, 3),
        patch_encoder="tiny",
        patch_augmentation="light",
        patch_size=4,
        patch_stride=2,
        offsets=(2, 4),
        directions=("left", "up"),
        scale=1.0,
        context_blocks=1,
        context_filters=16,
    )
    model.compile(optimizer="sgd", run_eagerly=True)
    return model


def test_evaluate_reports_what_numpy_recomputes_with_a_short_last_batch(model):
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 20, 3), "uint8")
    expected = np.zeros(3)
    for part in (images[:3], images[3:]):
        outputs = {k: np.asarray(v, "float64") for k, v in model.network(part).items()}
        assert outputs["left_2"].shape == (len(part), 7, 7, 64)  # 9 columns became 9 rows
        assert outputs["up_4"].shape == (len(part), 3, 9, 64)
        terms = [
            term(
                np.rot90(outputs["targets"], QUARTER_TURNS[direction], axes=(1, 2)),
                outputs[f"{direction}_{offset}"],
                offset,
                scale=1.0,
            )
            for direction in ("left", "up")
            for offset in (2, 4)
        ]
        expected += len(part) / len(images) * np.mean(terms, axis=0)
    result = model.evaluate(images, batch_size=3, verbose=0, return_dict=True)
    assert set(result) == {"loss", "accuracy", "mutual_information"}
    found = [result[name] for name in ("loss", "accuracy", "mutual_information")]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert expected[1] > 0  # else the accuracy proves nothing


def noise(rng):
    return rng.integers(0, 256, (24, 32, 32, 3), "uint8")


def structured(rng):
    """Smooth shading, coloured discs and stripes: neighbouring patches resemble each other."""
    y, x = np.mgrid[:32, :32]
    images = np.zeros((24, 32, 32, 3))
    for image in images:
        image += rng.uniform(0, 255, 3) + np.multiply.outer(x + y, rng.normal(size=3))
        for _ in range(4):
            inside = (y - rng.uniform(0, 32)) ** 2 + (x - rng.uniform(0, 32)) ** 2
            image[inside < rng.uniform(3, 14) ** 2] = rng.uniform(0, 255, 3)
        image += 40 * np.sin(x / rng.uniform(1, 9) + y / rng.uniform(1, 9))[..., None]
    return images.clip(0, 255).astype("uint8")


@pytest.fixture(scope="module")
def untrained():
    model = CPCModel((32, 32, 3), patch_augmentation="light")
    model.compile(optimizer="adam", run_eagerly=True)
    return model


@pytest.mark.parametrize("draw", [noise, structured])
def test_the_untrained_loss_is_within_5_percent_of_ln_n(untrained, draw):
    images = draw(np.random.default_rng(1))
    result = untrained.evaluate(images, batch_size=24, verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(np.log(24 * 49), rel=0.05)
    assert result["loss"] + result["mutual_information"] == pytest.approx(np.log(24 * 49))


@pytest.mark.parametrize("kind", ["other_images", "same_position", "same_row", "sampled"])
def test_every_kind_of_candidates_reports_its_own_ln_n(model, kind):
    number = {"num_negatives": 11} if kind == "sampled" else {}
    other = CPCModel(**{**model.get_config(), "candidates": kind, **number, "name": kind})
    other.compile(optimizer="sgd", run_eagerly=True)
    images = np.random.default_rng(2).integers(0, 256, (4, 16, 20, 3), "uint8")
    result = other.evaluate(images, verbose=0, return_dict=True)
    total = result["loss"] + result["mutual_information"]
    expected = {
        "other_images": np.log(3 * 63 + 1),
        "same_position": np.log(4),
        "same_row": np.log(4 * np.array([7, 9])).mean(),  # "left" turns 7 x 9 into 9 x 7
    }
    if kind == "sampled":
        assert np.log(11) < total < np.log(12)
    else:
        assert total == pytest.approx(expected[kind], rel=1e-5)


def test_mixed_precision_trains_and_gives_float32_features():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = CPCModel(
            (16, 20, 1),
            patch_encoder="tiny",
            patch_size=4,
            patch_stride=2,
            offsets=(2,),
            directions=("down",),
            context_blocks=1,
        )
        model.compile(optimizer=keras.optimizers.Adam(1e-3), run_eagerly=True)
        images = np.random.default_rng(3).integers(0, 256, (6, 16, 20, 1), "uint8")
        before = [np.array(w) for w in model.get_weights()]
        history = model.fit(images, verbose=0).history
        features = model.encoder(images)
        outputs = model.network(images)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert keras.backend.standardize_dtype(features.dtype) == "float32"
    assert keras.backend.standardize_dtype(outputs["targets"].dtype) == "bfloat16"
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_nan_in_an_image_is_a_nan_in_what_is_reported(model):
    """A public implementation filters them out, and with them every sign of a broken step."""
    images = np.random.default_rng(4).uniform(0, 255, (4, 16, 20, 3)).astype("float32")
    assert np.isfinite(model.evaluate(images, verbose=0)).all()
    images[1, 5, 7, 0] = np.nan
    result = model.evaluate(images, verbose=0, return_dict=True)
    assert np.isnan(result["loss"])
    assert np.isnan(result["mutual_information"])


def test_each_direction_and_offset_is_one_term_of_the_loss(model, monkeypatch):
    """A public implementation counts offset i i times: 21 terms of which 5 are distinct."""
    seen, contrast_grid = [], type(model.info_nce).contrast_grid

    def spy(self, targets, predictions, **kwargs):
        seen.extend(np.asarray(prediction) for prediction in predictions.values())
        return contrast_grid(self, targets, predictions, **kwargs)

    monkeypatch.setattr(type(model.info_nce), "contrast_grid", spy)
    images = np.random.default_rng(5).integers(0, 256, (3, 16, 20, 3), "uint8")
    model.run_eagerly = True
    model.evaluate(images, verbose=0)
    assert len(seen) == 2 * 2  # directions times offsets
    assert len({prediction.tobytes() for prediction in seen}) == len(seen)
