"""A run that was stopped ends as one that was not, to the last bit."""

import dataclasses
import signal

import keras
import numpy as np
import pytest

from cpc_keras.training import CheckpointSchedule, pretrain, read_metrics
from cpc_keras.training.callbacks import TensorBoard
from cpc_keras.training.checkpoints import all_checkpoints, newest_checkpoint
from cpc_keras.training.held_out_probe import HeldOutProbe

STEPS = 5


class Killed(Exception):
    pass


class KillAfter(keras.callbacks.Callback):
    """Raises after a number of steps; has the state of a callback, and notes what it saw."""

    def __init__(self, steps=None):
        super().__init__()
        self.steps, self.seen = steps, []
        self.noise = np.zeros(3)

    def state_dict(self):
        return {"seen": list(self.seen), "noise": self.noise}

    def load_state_dict(self, state):
        self.seen, self.noise = list(state["seen"]), state["noise"].copy()

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(logs["loss"])
        self.noise += logs["loss"]

    def on_train_batch_begin(self, batch, logs=None):
        if len(self.seen) == self.steps:
            raise Killed


@pytest.fixture(scope="module")
def train(noisy, noisy_images, noisy_recipe):
    def train(
        directory, *, watch=None, recipe=noisy_recipe, every=1, images=noisy_images, **kwargs
    ):
        kwargs = {"checkpoints": CheckpointSchedule(steps=every), **kwargs}
        return pretrain(
            noisy,
            images,
            run_directory=directory,
            recipe=recipe,
            held_out_images=images[:8],
            callbacks=[watch or KillAfter()],
            **kwargs,
        )

    return train


def ends_as(directory, expected):
    """Whether two runs hold the same weights, optimizer, state and metrics."""
    runs = []
    for run in (directory, expected):
        found = newest_checkpoint(run / "checkpoints")
        model = keras.saving.load_model(found.path)
        variables = [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]
        state = found.state()
        arrays = [*state["metrics"], *state["seeds"]]
        runs.append((variables + arrays, state["callbacks"], (run / "metrics.csv").read_bytes()))
    for a, b in zip(runs[0][0], runs[1][0], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_equal(runs[0][1], runs[1][1])
    assert runs[0][2] == runs[1][2]


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "run"
    train(directory)
    return directory


@pytest.mark.parametrize("every", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_was_not(
    train, whole, tmp_path, every
):
    directory = tmp_path / "run"
    # Before the first step; within the first epoch; after its last step; in the last.
    for steps in (0, 3, 4, 5, 9, 14):
        with pytest.raises(Killed):
            train(directory, watch=KillAfter(steps), every=every)
    watch = KillAfter()
    train(directory, watch=watch, every=every)
    ends_as(directory, whole)
    assert len(watch.seen) == 3 * STEPS
    assert [row["epoch"] for row in read_metrics(directory / "metrics.csv")] == [1, 2, 3]


def test_epochs_that_are_parts_of_a_pass_end_the_same(train, noisy_recipe, tmp_path):
    recipe = dataclasses.replace(noisy_recipe, num_epochs=4, steps_per_epoch=3)
    train(tmp_path / "whole", recipe=recipe)
    # Within the first pass over the images, and within the second and third.
    for steps in (2, 4, 7, 11):
        with pytest.raises(Killed):
            train(tmp_path / "run", watch=KillAfter(steps), recipe=recipe)
    train(tmp_path / "run", recipe=recipe)
    ends_as(tmp_path / "run", tmp_path / "whole")
    assert [row["epoch"] for row in read_metrics(tmp_path / "run" / "metrics.csv")] == [1, 2, 3, 4]


def test_an_epoch_of_no_steps_is_refused(train, noisy_recipe, tmp_path):
    recipe = dataclasses.replace(noisy_recipe, steps_per_epoch=0)
    with pytest.raises(ValueError, match=r"steps_per_epoch must be at least 1.*Received: 0"):
        train(tmp_path / "run", recipe=recipe)


def test_what_is_restored_is_what_differs(train, whole, tmp_path, monkeypatch):
    # The comparison above can fail: without the state of an epoch's beginning, it does.
    from cpc_keras.training import callbacks

    monkeypatch.setattr(callbacks.RunState, "give_model", lambda model, state: None)
    with pytest.raises(Killed):
        train(tmp_path / "run", watch=KillAfter(3))
    train(tmp_path / "run")
    with pytest.raises(AssertionError):
        ends_as(tmp_path / "run", whole)


def test_the_newest_checkpoint_is_damaged_and_the_run_still_ends_the_same(
    train, whole, tmp_path, capsys
):
    directory = tmp_path / "run"
    with pytest.raises(Killed):
        train(directory, watch=KillAfter(8))
    newest = all_checkpoints(directory / "checkpoints")[-1].path
    content = bytearray(newest.read_bytes())
    content[len(content) // 3] ^= 4
    newest.write_bytes(content)
    train(directory)
    assert f"{newest} is damaged" in capsys.readouterr().out
    ends_as(directory, whole)


def test_tensorboard_shows_the_loss_within_epochs_and_counts_the_steps_of_all_calls(
    train, tmp_path, monkeypatch
):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    number = pytest.importorskip("tensorboard.util.tensor_util").make_ndarray
    monkeypatch.setattr(TensorBoard, "EVERY", 2)
    watch = KillAfter(7)
    with pytest.raises(Killed):
        train(tmp_path / "run", watch=watch, tensorboard=True)
    losses = watch.seen
    watch = KillAfter()
    train(tmp_path / "run", watch=watch, tensorboard=True)
    losses = losses + watch.seen[len(losses) :]
    found = accumulators.EventAccumulator(str(tmp_path / "run" / "logs" / "train"))
    found.Reload()
    written = {e.step: number(e.tensor_proto) for e in found.Tensors("batch_loss")}
    assert written == {step: np.float32(losses[step - 1]) for step in range(2, 3 * STEPS, 2)}
    assert len(found.Tensors("epoch_loss")) == 3


def test_one_seed_gives_the_same_bits_twice(train, whole, tmp_path):
    train(tmp_path / "run")
    ends_as(tmp_path / "run", whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_after_the_step_and_a_checkpoint(
    train, whole, tmp_path, number, capsys
):
    class Signal(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                signal.raise_signal(number)

    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(
                tmp_path / "run",
                watch=Signal(),
                checkpoints=CheckpointSchedule(seconds=1000),
            )
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    found = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert found[1:] == (0, 3)
    assert f"Saved after epoch 0, step 3: {found.path}" in capsys.readouterr().out


def test_other_images_than_the_run_began_with_are_refused(train, noisy_images, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path / "run", watch=KillAfter(6))
    with pytest.raises(ValueError, match="began with 40 images, and now there are 39"):
        train(tmp_path / "run", images=noisy_images[:39])


def test_a_kill_while_the_settings_were_written_is_no_foreign_directory(train, tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / ".partial-config.yaml").write_text("method: cp")
    with pytest.raises(Killed):
        train(directory, watch=KillAfter(0))
    assert not (directory / ".partial-config.yaml").exists()


class Explode(keras.callbacks.Callback):
    """Makes weights large in given steps of the run, counted over all that was trained."""

    def __init__(self, at, value):
        super().__init__()
        self.at, self.value, self.count = set(at), value, 0

    def on_train_batch_begin(self, batch, logs=None):
        if self.count in self.at:
            self.model.dense.kernel.assign(np.full(self.model.dense.kernel.shape, self.value))
        self.count += 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"The loss is nan at step 3 of epoch 2; the learning rate is 0\.0"),
        (1e3, r"The loss explodes: it is .* at step 3 of epoch 2; the learning rate is 0\.0"),
    ],
)
def test_a_broken_loss_ends_the_run_and_names_the_last_good_checkpoint(
    train, tmp_path, value, message
):
    with pytest.raises(FloatingPointError, match=message) as caught:
        train(tmp_path / "run", watch=Explode([7], value), every=2)
    found = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert found[1:] == (1, 2)
    assert f"Last good checkpoint: {found.path}, after epoch 1 and 2 steps." in str(caught.value)


def test_weights_that_broke_after_a_finite_loss_are_not_saved(train, tmp_path):
    class Spoil(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                self.model.dense.bias.assign([np.inf, 0, 0])

    with pytest.raises(
        FloatingPointError, match=r"dense.*/bias are not finite after epoch 0, step 3"
    ):
        train(tmp_path / "run", watch=Spoil())
    assert newest_checkpoint(tmp_path / "run" / "checkpoints")[1:] == (0, 2)


class Enough(keras.callbacks.Callback):
    """Ends the training after the second epoch; and before, a signal may come."""

    def __init__(self, number=None):
        super().__init__()
        self.number, self.num_steps = number, 0

    def on_train_batch_end(self, batch, logs=None):
        self.num_steps += 1

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1
        if epoch == 0 and self.number is not None:
            signal.raise_signal(self.number)


def test_a_run_that_another_callback_ends_is_saved_and_stays_finished(train, tmp_path, capsys):
    directory = tmp_path / "run"
    ended = train(directory, watch=Enough(), checkpoints=CheckpointSchedule(seconds=1e9))
    found = newest_checkpoint(directory / "checkpoints")
    assert found[1:] == (2, 0)
    watch = Enough()
    again = train(directory, watch=watch)
    assert watch.num_steps == 0
    said = f"A callback ended this run after epoch 2 of 3 epochs ({found.path})"
    assert said in capsys.readouterr().out
    for a, b in zip(ended.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # of both the average


def test_a_run_that_a_signal_ended_is_not_finished(train, tmp_path, capsys):
    directory, options = tmp_path / "run", {"checkpoints": CheckpointSchedule(seconds=1e9)}
    # A shell that runs the tests in the background has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(directory, watch=Enough(signal.SIGINT), **options)
    finally:
        signal.signal(signal.SIGINT, before)
    assert newest_checkpoint(directory / "checkpoints")[1:] == (1, 0)
    watch = Enough()
    train(directory, watch=watch)
    assert watch.num_steps == STEPS
    assert "Going on after epoch 1 of 3 epochs" in capsys.readouterr().out


def test_a_second_process_is_refused_while_one_trains(train, tmp_path):
    class Again(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            # Another open file of the lock, as that of another process.
            with pytest.raises(BlockingIOError, match=r"Another process trains in .*Wait for"):
                train(tmp_path / "run")

    train(tmp_path / "run", watch=Again())
    assert newest_checkpoint(tmp_path / "run" / "checkpoints")[1:] == (3, 0)


class Measured(HeldOutProbe):
    """Measures the bias, and breaks it once after an epoch."""

    compared_with_untrained = ("bias",)
    encoder = property(lambda self: self.model)

    def __init__(self, images, *, every=1, broken_after=None):
        super().__init__(images, every=every)
        self.broken_after = broken_after

    def measure(self):
        bias = float(np.abs(np.asarray(self.model.dense.bias)).sum())
        if not np.isfinite(bias):
            raise FloatingPointError("the bias is not finite")
        return {"bias": bias}

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.broken_after:
            self.broken_after = None
            self.model.dense.bias.assign([np.nan, 0, 0])
        super().on_epoch_end(epoch, logs)


def test_what_was_measured_of_the_untrained_network_outlives_a_stop(train, noisy_images, tmp_path):
    train(tmp_path / "whole", watch=Measured(noisy_images, every=3))

    class Kill(Measured):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 7:
                raise Killed

    Kill.__name__ = "Measured"  # under which a checkpoint keeps its state
    with pytest.raises(Killed):
        train(tmp_path / "run", watch=Kill(noisy_images, every=3))
    train(tmp_path / "run", watch=Measured(noisy_images, every=3))
    ends_as(tmp_path / "run", tmp_path / "whole")
    assert "bias_untrained" in read_metrics(tmp_path / "run" / "metrics.csv")[-1]


def test_a_run_steps_back_where_a_probe_finds_what_broke(train, noisy_images, tmp_path, capsys):
    watch = Measured(noisy_images, broken_after=1)
    train(tmp_path / "run", watch=watch, step_backs=1)
    assert "the bias is not finite\nGoing back to epoch 1" in capsys.readouterr().out
    assert [row["epoch"] for row in read_metrics(tmp_path / "run" / "metrics.csv")] == [1, 2, 3]


@pytest.mark.parametrize("schedule", ["cosine", pytest.param("constant", marks=pytest.mark.slow)])
def test_a_run_steps_back_to_the_last_epoch_with_half_the_rate(
    train, noisy_recipe, tmp_path, schedule, capsys
):
    recipe = dataclasses.replace(noisy_recipe, schedule=schedule)
    # Step 7 of what is trained is in the second epoch; the tenth too, when it goes on from its
    # beginning.
    model = train(tmp_path / "run", recipe=recipe, watch=Explode([7, 10], np.nan), step_backs=2)
    printed = capsys.readouterr().out
    assert "Going back to epoch 1, with 0.5 times the learning rate (step back 1" in printed
    assert "Going back to epoch 1, with 0.25 times the learning rate (step back 2" in printed
    assert [row["epoch"] for row in read_metrics(tmp_path / "run" / "metrics.csv")] == [1, 2, 3]
    found = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert (found.epoch, found.state()["facts"]["step_backs"]) == (3, 2)
    again = keras.saving.load_model(found.path)
    if schedule == "constant":
        rate = float(model.optimizer.learning_rate)
        assert rate == float(again.optimizer.learning_rate) == np.float32(0.05 / 4)
    else:
        config = again.optimizer.get_config()["learning_rate"]["config"]
        assert config["warmup_target"] == pytest.approx(0.05 / 4)
    with pytest.raises(FloatingPointError):
        train(tmp_path / "no", recipe=recipe, watch=Explode([7, 10], np.nan), step_backs=1)


def test_what_exploded_before_the_first_epochs_end_is_gone_for_good(train, tmp_path, capsys):
    class ExplodeAndDie(Explode):
        def on_train_batch_begin(self, batch, logs=None):
            if self.count == 3:  # the first step after going back
                raise Killed
            super().on_train_batch_begin(batch, logs)

    with pytest.raises(Killed):
        train(tmp_path / "run", watch=ExplodeAndDie([2], np.nan), step_backs=1)
    assert "Going back to the beginning, with 0.5 times" in capsys.readouterr().out
    # The checkpoints of its first two steps would be taken up by the next call.
    assert newest_checkpoint(tmp_path / "run" / "checkpoints") is None


class ExplodeOnce(Explode):
    """Explodes at a step of the run, once: it knows by its state, as the rate would."""

    def __init__(self, at, kill=None):
        super().__init__((), np.nan)
        self.step, self.kill, self.trained = at, kill, 0

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]

    def on_train_batch_begin(self, batch, logs=None):
        if self.trained == self.kill:
            raise Killed
        rate = float(self.model.optimizer.learning_rate)
        self.at = {self.step} if rate == np.float32(0.05) else set()
        super().on_train_batch_begin(batch, logs)
        self.trained += 1


@pytest.mark.parametrize("kill", [7, pytest.param(9, marks=pytest.mark.slow)])
def test_a_run_that_steps_back_and_is_killed_ends_as_one_that_steps_back(
    train, noisy_recipe, tmp_path, kill
):
    recipe = dataclasses.replace(noisy_recipe, schedule="constant")
    train(tmp_path / "whole", recipe=recipe, watch=ExplodeOnce(7), step_backs=1, every=2)
    run = tmp_path / "run"
    with pytest.raises(Killed):
        train(run, recipe=recipe, watch=ExplodeOnce(7, kill), step_backs=1, every=2)
    train(run, recipe=recipe, watch=ExplodeOnce(7), step_backs=1, every=3)
    ends_as(run, tmp_path / "whole")


@pytest.mark.parametrize(
    ("precision", "optimizer"),
    [
        ("mixed_float16", "adamw"),
        ("mixed_bfloat16", "lars"),
        pytest.param("mixed_float16", "lamb", marks=pytest.mark.slow),
    ],
)
def test_every_optimizer_and_precision_is_resumed(
    train, noisy_recipe, tmp_path, optimizer, precision
):
    recipe = dataclasses.replace(
        noisy_recipe,
        optimizer=optimizer,
        optimizer_options={"gradient_accumulation_steps": 2},
        precision=precision,
        num_epochs=2,
    )
    before = keras.config.dtype_policy()
    model = train(tmp_path / "whole", recipe=recipe)
    with pytest.raises(Killed):
        train(tmp_path / "run", recipe=recipe, watch=KillAfter(3))
    train(tmp_path / "run", recipe=recipe)
    ends_as(tmp_path / "run", tmp_path / "whole")
    assert keras.config.dtype_policy() == before
    assert model.dense.compute_dtype == precision.removeprefix("mixed_")
    if precision == "mixed_float16":
        assert int(model.optimizer.step_counter) > 0
        assert float(model.optimizer.dynamic_scale) > 1
    # Half as many updates as steps; the schedule ends with the last step, and not before.
    assert int(model.optimizer.iterations) == STEPS
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("gathered", [1, 2])
def test_the_learning_rate_falls_over_the_whole_run_however_many_steps_an_update_gathers(
    train, noisy_recipe, tmp_path, gathered
):
    rates = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    recipe = dataclasses.replace(
        noisy_recipe,
        optimizer="sgd",
        optimizer_options={"gradient_accumulation_steps": gathered} if gathered > 1 else {},
        learning_rate=1e-3,
        schedule="cosine",
        warmup=0.25,
        num_epochs=2,
    )
    train(tmp_path / "run", recipe=recipe, watch=Look())
    total, warm_up = 2 * STEPS, int(2 * STEPS * 0.25)
    steps = np.arange(1, total + 1)
    cosine = 0.5 * (1 + np.cos(np.pi * (steps - warm_up) / (total - warm_up)))
    expected = np.where(steps < warm_up, steps / warm_up, cosine)
    np.testing.assert_allclose(np.divide(rates, 1e-3), expected, atol=1e-5)


def test_an_unknown_precision_is_refused(train, noisy_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"'float32', 'mixed_bfloat16'.*'float16'"):
        train(tmp_path / "run", recipe=dataclasses.replace(noisy_recipe, precision="float16"))
