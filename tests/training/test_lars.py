"""LARS against its paper, written slowly."""

import keras
import numpy as np
import pytest

from cpc_keras.training import LARS


def slow(weights, gradients, *, rate, momentum, coefficient, decay):
    """Algorithm 1 of arXiv:1708.03888, for one weight and a list of gradients."""
    velocity = np.zeros_like(weights)
    for gradient in gradients:
        trust, decayed = 1.0, gradient
        if weights.ndim > 1:
            decayed = gradient + decay * weights
            size, slope = np.sqrt((weights**2).sum()), np.sqrt((gradient**2).sum())
            if size > 0 and slope > 0:
                trust = coefficient * size / (slope + decay * size)
        velocity = momentum * velocity + rate * trust * decayed
        weights = weights - velocity
    return weights


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 3, 5), (6,)])
@pytest.mark.parametrize("start", ["random", "zero"])
def test_updates_are_the_paper_s(shape, start):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=shape) * (start == "random")
    gradients = [*rng.normal(size=(4, *shape)), np.zeros(shape)]
    settings = {"momentum": 0.8, "trust_coefficient": 0.02, "weight_decay": 0.3}
    optimizer = LARS(0.7, **settings)
    variable = keras.Variable(weights)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
    expected = slow(weights, gradients, rate=0.7, momentum=0.8, coefficient=0.02, decay=0.3)
    np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected - weights).max() > 1e-3


def test_it_trains_saves_and_goes_on(tmp_path):
    def data():
        x = np.random.default_rng(0).normal(size=(64, 5)).astype("float32")
        return x, x @ np.arange(5, dtype="float32")[:, None]

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, use_bias=False)])
    schedule = keras.optimizers.schedules.CosineDecay(5.0, 200)
    model.compile(LARS(schedule, trust_coefficient=0.01), "mse")
    losses = model.fit(*data(), epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    histories = [
        m.fit(*data(), epochs=1, shuffle=False, verbose=0).history["loss"] for m in (model, loaded)
    ]
    np.testing.assert_allclose(*histories, rtol=1e-6)
    assert loaded.optimizer.get_config() == model.optimizer.get_config()


@pytest.mark.parametrize(
    "setting", [{"momentum": 1.0}, {"trust_coefficient": 0.0}, {"weight_decay": -1.0}]
)
def test_numbers_out_of_range_are_refused(setting):
    name, value = next(iter(setting.items()))
    with pytest.raises(ValueError, match=f"LARS needs .*{name}={value}"):
        LARS(0.1, **setting)
