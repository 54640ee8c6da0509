"""StopAtNaN."""

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.training import StopAtNaN

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 1), "uint8")


def _model():
    model = CPCModel(
        (16, 16, 1),
        patch_encoder="mlp",
        offsets=(2,),
        directions=("down", "left"),
        patch_augmentation="light",
        seed=0,
    )
    model.compile(optimizer=keras.optimizers.SGD(0.25))
    return model


def _spoil(model, layer):
    kernel = model.network.get_layer(layer).trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan))


class _SpoilAt(keras.callbacks.Callback):
    def __init__(self, layer, epoch, batch):
        super().__init__()
        self._layer, self._at, self._epoch = layer, (epoch, batch), 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self._epoch, batch) == self._at:
            _spoil(self.model, self._layer)


def test_the_error_names_step_epoch_term_and_learning_rate():
    model = _model()
    callbacks = [_SpoilAt("predict_left", 1, 2), StopAtNaN()]
    message = r"step 3 of epoch 2, in the term\(s\) left_2; the learning rate is 0\.25"
    with pytest.raises(FloatingPointError, match=message):
        model.fit(IMAGES, batch_size=4, epochs=3, callbacks=callbacks, verbose=0)


def test_a_broken_part_that_all_terms_share_names_all_of_them():
    model = _model()
    _spoil(model, "targets")
    with pytest.raises(FloatingPointError, match=r"step 1 of epoch 1.*down_2, left_2;"):
        model.fit(IMAGES, batch_size=4, callbacks=[StopAtNaN()], verbose=0)


def test_finite_losses_pass():
    history = _model().fit(IMAGES, batch_size=4, epochs=2, callbacks=[StopAtNaN()], verbose=0)
    assert len(history.history["loss"]) == 2


def test_other_models_are_watched_too():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(FloatingPointError, match="The loss is nan at step 1 of epoch 1; the lea"):
        model.fit(np.full((4, 2), np.nan), np.zeros(4), callbacks=[StopAtNaN()], verbose=0)


def test_one_steps_explosion_is_told_from_the_mean_over_a_long_epoch():
    """Keras gives the mean over the epoch so far, in which one step hardly shows."""
    watch = StopAtNaN(explosion=10.0)
    watch.set_model(model := _model())
    losses = [2.0] * 500
    for step in range(500):
        watch.on_train_batch_end(step, {"loss": np.mean(losses[: step + 1])})
    losses.append(19.9)
    watch.on_train_batch_end(500, {"loss": np.mean(losses)})
    losses.append(20.1)
    model.term_losses.assign([3.0, 37.0])
    told = r"explodes: it is 20\.1 at step 502 of epoch 1; the largest term is left_2 \(37\);.* 20,"
    with pytest.raises(FloatingPointError, match=told):
        watch.on_train_batch_end(501, {"loss": np.mean(losses)})
