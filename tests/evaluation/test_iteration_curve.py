"""iteration_curve, and the encoders that SaveEncoders keeps for it."""

import keras
import numpy as np
import pytest

from cpc_keras.evaluation import iteration_curve, linear_probe, nearest_neighbors, saved_encoders
from cpc_keras.training import SaveEncoders


class Pretraining(keras.Model):
    """Learns something of its images, with an encoder as pre-training models have."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential(
            [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        )

    def call(self, images):
        return self.encoder(images)


def _train(directory, *, epochs=5, every=2, optimizer=None, callbacks=(), initial_epoch=0):
    keras.utils.set_random_seed(0)
    model = Pretraining()
    model.compile(optimizer=optimizer or keras.optimizers.SGD(0.1), loss="mse")
    images = np.random.default_rng(0).normal(size=(12, 2, 2, 1)).astype("float32")
    model.fit(
        images,
        images.reshape(12, -1)[:, :3],
        batch_size=4,
        epochs=epochs,
        initial_epoch=initial_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[SaveEncoders(directory, every=every), *callbacks],
    )
    return model


def test_encoders_are_kept_from_the_untrained_to_the_last(tmp_path):
    model = _train(tmp_path / "encoders")
    names = [path.name for path in saved_encoders(tmp_path)]
    assert names == [
        "epoch-0000-step-00000000.keras",
        "epoch-0002-step-00000006.keras",
        "epoch-0004-step-00000012.keras",
        "epoch-0005-step-00000015.keras",
    ]
    first, *_, last = (keras.saving.load_model(path) for path in saved_encoders(tmp_path))
    for kept, trained in zip(last.get_weights(), model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, trained)
    assert (first.get_weights()[0] != last.get_weights()[0]).all()


@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, keras.optimizers.LossScaleOptimizer])
def test_averaged_weights_are_kept_and_training_goes_on_without_them(tmp_path, wrap):
    def averaging():
        # No overwriting in between: the average is apart until the end.
        return wrap(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9))

    kept = _train(tmp_path / "a", optimizer=averaging(), every=1)
    plain = _train(tmp_path / "b", optimizer=averaging(), every=100)
    for ours, others in zip(kept.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, others)
    # At the end of training Keras itself puts the averages in.
    last = keras.saving.load_model(saved_encoders(tmp_path / "a")[-1]).get_weights()
    for ours, averaged in zip(last, plain.encoder.get_weights(), strict=True):
        np.testing.assert_allclose(ours, averaged, atol=1e-6)
    early = keras.saving.load_model(saved_encoders(tmp_path / "a")[1]).get_weights()
    assert not np.allclose(early[0], last[0])


def test_weights_that_are_not_finite_are_not_kept_and_others_replace_what_is_there(tmp_path):
    class Break(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                weights = self.model.encoder.get_weights()
                self.model.encoder.set_weights([np.full_like(w, np.nan) for w in weights])

    _train(tmp_path / "encoders", epochs=2, every=1, optimizer=keras.optimizers.SGD(0.5))
    before = [keras.saving.load_model(path).get_weights()[0] for path in saved_encoders(tmp_path)]
    _train(tmp_path / "encoders", epochs=4, every=1, callbacks=[Break()])
    kept = saved_encoders(tmp_path)
    assert [path.name[:10] for path in kept] == [f"epoch-000{n}" for n in range(4)]
    after = [keras.saving.load_model(path).get_weights()[0] for path in kept]
    assert np.isfinite(after).all()
    assert (before[1] != after[1]).any()


def test_what_is_kept_is_whole_or_not_there(tmp_path, monkeypatch):
    def fail(self, path, *args, **kwargs):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(keras.Sequential, "save", fail)
    with pytest.raises(OSError, match="No space"):
        _train(tmp_path / "encoders")
    assert saved_encoders(tmp_path) == []


def test_a_model_without_encoder_and_impossible_epochs_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(ValueError, match="Sequential has no encoder"):
        model.fit(np.ones((2, 2)), np.ones(2), verbose=0, callbacks=[SaveEncoders(tmp_path)])
    for every in (0, 1.5):
        with pytest.raises(ValueError, match="whole number of epochs"):
            SaveEncoders(tmp_path, every=every)


def _data(count):
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 2
    return rng.normal(size=(count, 2, 2, 1)) + 2 * labels[:, None, None, None], labels


@pytest.mark.parametrize("protocol", [nearest_neighbors, linear_probe])
def test_the_curve_is_the_protocol_of_each_encoder(tmp_path, protocol):
    _train(tmp_path / "encoders")
    train, test, told = _data(40), _data(20), []
    curve = iteration_curve(
        tmp_path, train, test, protocol=protocol, num_resamples=0, on_result=told.append
    )
    assert [(p["epoch"], p["step"]) for p in curve] == [(0, 0), (2, 6), (4, 12), (5, 15)]
    assert told == curve
    for point, path in zip(curve, saved_encoders(tmp_path), strict=True):
        direct = protocol(keras.saving.load_model(path), train, test, num_resamples=0)
        assert point["accuracy"] == direct["top_1"]
        assert direct.items() <= point.items()


def test_a_run_without_encoders_says_how_to_keep_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="--save-encoders-every 10"):
        iteration_curve(tmp_path, _data(4), _data(4))


def test_images_of_another_shape_are_refused(tmp_path):
    _train(tmp_path / "encoders", epochs=1)
    images = np.zeros((4, 3, 3, 1)), np.arange(4) % 2
    with pytest.raises(
        ValueError, match=r"shape \(2, 2, 1\). Received images of shape \(3, 3, 1\)"
    ):
        iteration_curve(tmp_path, images, images)
