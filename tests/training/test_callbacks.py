"""What a run draws in an epoch, and when it saves by the clock."""

import keras
import numpy as np
import pytest

from cpc_keras.training import CheckpointSchedule, callbacks


def test_the_bar_shows_the_loss_so_far_when_it_shows_itself(capsys):
    progress = callbacks.TrainingProgress(num_epochs=2, steps_per_epoch=3)
    progress.on_train_begin()
    bar = progress._bar
    bar.mininterval = 1000  # not within this test
    for step in range(3):
        progress.on_train_batch_end(step, {"loss": 2.5 - step, "accuracy": 0.1})
        assert bar.postfix == f"loss={2.5 - step:.3f}" and bar.n == step + 1
    assert "loss" not in capsys.readouterr().err
    logs = {"loss": 0.5, "accuracy": 0.25, "val_loss": 3.0, "accuracy_untrained": 0.2}
    progress.on_epoch_end(0, logs)
    assert "epoch 1: loss=0.500, accuracy=0.250]" in capsys.readouterr().err
    progress.on_train_batch_end(0, {"loss": 0.375})
    assert bar.postfix == "loss=0.375; epoch 1: loss=0.500, accuracy=0.250"
    progress.on_train_end()


def dropping():
    """Two seed generators of its own."""
    layers = [keras.layers.Dropout(0.5), keras.layers.Dense(1), keras.layers.GaussianNoise(1.0)]
    return keras.Sequential([keras.Input((3,)), *layers])


def test_what_is_drawn_depends_on_seed_epoch_and_generator_alone():
    states = {}
    for seed in (0, 1):
        for epoch in (0, 1, 7):
            model = dropping()
            model(np.ones((2, 3)), training=True)  # draws: what was drawn before does not matter
            seeds = callbacks.EpochSeeds(seed)
            seeds.set_model(model)
            seeds.on_epoch_begin(epoch)
            found = [tuple(np.asarray(g.state)) for g in callbacks.seed_generators(model)]
            states[seed, epoch] = found
    assert len(states[0, 0]) == 2
    every = [state for found in states.values() for state in found]
    assert len(set(every)) == len(every)
    again = callbacks.EpochSeeds(1)
    again.set_model(model := dropping())
    again.on_epoch_begin(7)
    assert [tuple(np.asarray(g.state)) for g in callbacks.seed_generators(model)] == states[1, 7]


@pytest.fixture
def saved(monkeypatch):
    """Checkpoints as `(epoch, step)`, of steps of ten seconds; saving takes `cost` seconds."""

    class Clock:
        now, cost, places = 0.0, 0.0, ()

        def monotonic(self):
            return self.now

        def save(self, model, directory, *, epoch, step, **kwargs):
            self.places += ((epoch, step),)
            self.now += self.cost
            return directory

        def train(self, schedule, *, num_epochs=2, num_steps=20):
            callback = callbacks.Checkpoints("x", num_epochs, num_steps, schedule=schedule)
            model = dropping()
            model.compile("sgd")
            model.stop_training = False
            callback.set_model(model)
            for epoch in range(num_epochs):
                callback.on_epoch_begin(epoch)
                for step in range(num_steps):
                    self.now += 10
                    callback.on_train_batch_end(step)
                callback.on_epoch_end(epoch)
            return list(self.places)

    clock = Clock()
    monkeypatch.setattr(callbacks, "time", clock)
    monkeypatch.setattr(callbacks, "save_checkpoint", clock.save)
    return clock


def test_it_saves_by_the_clock_and_at_the_end(saved):
    # Every 60 seconds, counted over the end of the epoch, where it is not yet time.
    places = [(0, 6), (0, 12), (0, 18), (1, 4), (1, 10), (1, 16), (2, 0)]
    assert saved.train(CheckpointSchedule(seconds=60)) == places


def test_saving_takes_at_most_a_fiftieth_of_the_time(saved):
    saved.cost = 4.0  # so not before 200 seconds have passed
    assert saved.train(CheckpointSchedule(seconds=60)) == [(0, 6), (1, 6), (2, 0)]
    assert callbacks.Checkpoints.SHARE == 1 / 50


def test_it_saves_by_steps_too(saved):
    places = [(0, 8), (0, 16), (1, 0), (1, 8), (1, 16), (2, 0)]
    assert saved.train(CheckpointSchedule(seconds=1e9, steps=8)) == places
