"""Keras callbacks of a pre-training run."""

import csv
import os
import pathlib
import signal
import time

import keras
import numpy as np

from cpc_keras.training.checkpoint_schedule import CheckpointSchedule
from cpc_keras.training.checkpoints import save_checkpoint
from cpc_keras.training.run_state import RunState, seed_generators
from cpc_keras.training.signal_stop import SignalStop
from cpc_keras.training.stop_at_nan import broken_weights
from cpc_keras.training.worker import Worker
from cpc_keras.training.write_atomically import write_atomically


class TrainingProgress(keras.callbacks.Callback):
    """One progress bar over all steps: share done, steps a second, time left, loss and metrics.

    The loss is the mean over the epoch so far, the other metrics are those of the epoch before.

    Args:
        num_epochs: of the whole run.
        steps_per_epoch: training steps of an epoch.
        first_epoch: epochs that an earlier call has done.
        first_step: steps of the next epoch that it has done as well.
    """

    def __init__(
        self, num_epochs: int, steps_per_epoch: int, first_epoch: int = 0, first_step: int = 0
    ):
        super().__init__()
        self._total = num_epochs * steps_per_epoch
        self._first = first_epoch * steps_per_epoch + first_step
        self._bar, self._epoch = None, ""

    def on_train_begin(self, logs=None):
        """Open the bar."""
        from tqdm import tqdm

        self._bar = tqdm(
            desc="pre-training", total=self._total, initial=self._first, unit="step", mininterval=1
        )

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar, which shows itself when it is time."""
        if "loss" in (logs or {}):
            # A number: Keras has read the logs, for every callback, whether they are looked at.
            told = [f"loss={logs['loss']:.3f}", *([self._epoch] if self._epoch else [])]
            self._bar.set_postfix_str("; ".join(told), refresh=False)
        self._bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Show the epoch's metrics."""
        told = {k: v for k, v in (logs or {}).items() if not k.endswith("_untrained")}
        shown = [f"{k}={v:.3f}" for k, v in told.items() if not k.startswith("val_")]
        self._epoch = f"epoch {epoch + 1}: {', '.join(shown)}"
        self._bar.set_postfix_str(self._epoch)

    def close(self):
        """Close the bar, also where training was interrupted."""
        if self._bar is not None:
            self._bar.close()

    def on_train_end(self, logs=None):
        """Close the bar."""
        self.close()


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras's, which also writes what an epoch's metrics are so far, as `batch_loss` and so on.

    Args:
        log_dir: directory of the logs.
        first_step: steps of the run that earlier calls have done.
    """

    # Steps from one writing to the next. Keras's `update_freq` counts each call's from 0, and takes
    # milliseconds a step for what it does not write.
    EVERY = 50

    def __init__(self, log_dir: str | os.PathLike, first_step: int = 0):
        super().__init__(log_dir)
        self._step = first_step

    def on_train_batch_end(self, batch, logs=None):
        """Write the metrics if it is time."""
        super().on_train_batch_end(batch)  # without them
        self._step += 1
        if logs and self._step % self.EVERY == 0:
            with self._train_writer.as_default():
                for name, value in logs.items():
                    self.summary.scalar(f"batch_{name}", value, step=self._step)


class EpochSeeds(keras.callbacks.Callback):
    """Makes what is drawn at random a function of the seed and the epoch.

    Keras's files do not hold the state of seed generators; set anew before each epoch, a resumed
    run draws what it would have drawn.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int):
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Set the state of every seed generator of the model."""
        generators = seed_generators(self.model)
        words = np.random.SeedSequence([self._seed, epoch]).generate_state(2 * len(generators))
        for generator, state in zip(generators, words.reshape(-1, 2), strict=True):
            generator.state.assign(state.astype(generator.state.dtype))


class MetricsCSV(keras.callbacks.Callback):
    """Keeps `metrics.csv`, one line an epoch; a resumed run continues it without repetition.

    Args:
        path: the file.
        first_epoch: epochs that an earlier call has done; later lines are dropped.
    """

    def __init__(self, path: str | os.PathLike, first_epoch: int = 0):
        super().__init__()
        self._path = pathlib.Path(path)
        self.rows = [row for row in read_metrics(path) if row["epoch"] <= first_epoch]

    def on_epoch_end(self, epoch, logs=None):
        """Write the file anew, with the epoch's metrics."""
        self.rows.append({"epoch": epoch + 1, **{k: float(v) for k, v in (logs or {}).items()}})
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with write_atomically(self._path) as partial, open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)


def read_metrics(path: str | os.PathLike) -> list[dict]:
    """Read what `MetricsCSV` wrote; an empty list where there is no file.

    Args:
        path: the file, `metrics.csv` of a run.

    Returns:
        One dict an epoch: "epoch", an integer from 1 on, and floats by name; what an epoch did not
        log is left out.
    """
    if not os.path.exists(path):
        return []
    with open(path, newline="") as file:
        return [
            {k: int(v) if k == "epoch" else float(v) for k, v in row.items() if v}
            for row in csv.DictReader(file)
        ]


class Checkpoints(keras.callbacks.Callback):
    """Saves checkpoints within epochs and at their ends, and before a signal ends the process.

    It stands last in the list of callbacks, so that the others' states are those after the step.

    Args:
        directory: of the checkpoints.
        num_epochs: of the whole run.
        steps_per_epoch: training steps of an epoch.
        schedule: how often, and how many stay.
        state: takes what a checkpoint holds beside model and optimizer; by default nothing.
        first_step: steps of the first epoch that an earlier call has done.
        stop: tells of signals; by default none are looked for.
        every_epoch: save at the end of every epoch, whatever the time, and keep the last of these.
        worker: this process among those that train together: they save, and stop, after the same
            step; by default it is alone.
    """

    # Saving takes at most this share of the time, whatever the schedule's seconds.
    SHARE = 0.02

    def __init__(
        self,
        directory: str | os.PathLike,
        num_epochs: int,
        steps_per_epoch: int,
        *,
        schedule: CheckpointSchedule | None = None,
        state: RunState | None = None,
        first_step: int = 0,
        stop: SignalStop | None = None,
        every_epoch: bool = False,
        worker: Worker | None = None,
    ):
        super().__init__()
        self._worker = worker or Worker()
        self._directory, self._num_epochs = directory, num_epochs
        self._steps_per_epoch = steps_per_epoch
        self._schedule = schedule or CheckpointSchedule()
        self._state = state or RunState(())
        self._first, self._stop, self._every_epoch = first_step, stop, every_epoch
        self._epoch, self._done, self._ended_after = 0, 0, None
        self._last, self._pause = time.monotonic(), self._schedule.seconds

    def on_epoch_begin(self, epoch, logs=None):
        """Remember where the epoch begins."""
        self._epoch, self._done, self._first = epoch, self._first, 0

    def on_train_batch_end(self, batch, logs=None):
        """Save if it is time; and end if a signal came."""
        self._done += 1
        if self._done == self._steps_per_epoch:
            return  # the end of the epoch is about to come
        every = self._schedule.steps
        if self._is_due() or (every and self._done % every == 0):
            self._save(self._epoch, self._done)

    def on_epoch_end(self, epoch, logs=None):
        """Save if it is time; and end if a signal came."""
        # Another callback, such as EarlyStopping, may have ended the training.
        finished = epoch + 1 == self._num_epochs or self.model.stop_training
        if self._is_due() or finished or self._every_epoch or self._schedule.steps:
            self._save(epoch + 1, 0, finished=finished)
        if self.model.stop_training:
            self._ended_after = epoch + 1

    def on_train_end(self, logs=None):
        """Save again where a callback has ended the training: by now it may have put weights back.

        `EarlyStopping(restore_best_weights=True)` does. With an average of the weights the model
        has the average by now, which is no state to save.
        """
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if self._ended_after is not None and not getattr(optimizer, "use_ema", False):
            self._save(self._ended_after, 0, finished=True)

    def _is_due(self):
        """Whether a signal came or it is time, to any of the workers."""
        time_is_up = time.monotonic() - self._last >= self._pause
        told = self._worker.agreed(signal=self._signaled(), time=time_is_up)
        if told["signal"] and not self._signaled():
            self._stop.requested = signal.SIGTERM
        return told["signal"] or told["time"]

    def _signaled(self):
        return self._stop is not None and self._stop.requested is not None

    def _save(self, epoch, step, *, finished=False):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # JAX's trainer keeps the weights elsewhere meanwhile
        begun = time.monotonic()
        self._refuse_broken_weights(epoch, step)
        path = save_checkpoint(
            self.model,
            self._directory,
            epoch=epoch,
            step=step,
            state=self._state.take(self.model, finished=bool(finished)),
            keep=self._schedule.keep,
            keep_epoch=self._every_epoch,
        )
        self._last = time.monotonic()
        self._pause = max(self._schedule.seconds, (self._last - begun) / self.SHARE)
        if self._signaled():
            print(f"Saved after epoch {epoch}, step {step}: {path}")
            self._stop.leave()

    def _refuse_broken_weights(self, epoch, step):
        """A finite loss may have had a gradient that was not; such weights are no checkpoint."""
        broken = broken_weights(self.model)
        if broken is not None:
            rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            raise FloatingPointError(
                f"The weights {broken} are not finite after epoch {epoch}, step {step}, though the "
                f"loss was; the learning rate is {rate:.3g}. They were not saved: earlier "
                f"checkpoints under {self._directory} are good. Try a lower learning rate or "
                "global_clipnorm in the optimizer."
            )


class ResumeWithinEpoch(keras.callbacks.Callback):
    """Goes on within an epoch: gives it the state it had, and ends it after the steps that remain.

    Where a run was stopped within an epoch, `fit` begins one: the averages of metrics and what is
    drawn at random then go on from `state`, and the epoch is as long as what is left of it. It
    stands behind `EpochSeeds`.

    Args:
        state: what `RunState.take` returned.
        num_steps: steps of the epoch that are left.
    """

    def __init__(self, state: dict, num_steps: int):
        super().__init__()
        self._state, self._left, self._ended = state, num_steps, False

    def on_epoch_begin(self, epoch, logs=None):
        """Give metrics and seed generators their state, in the first epoch."""
        if self._state is not None:
            RunState.give_model(self.model, self._state)
            self._state = None

    def on_train_batch_end(self, batch, logs=None):
        """End the first epoch when its steps are done."""
        self._left -= 1
        if self._left == 0:
            # It ends the epoch; that `fit` goes on, `on_epoch_end` sees to.
            self._ended, self.model.stop_training = not self.model.stop_training, True

    def on_epoch_end(self, epoch, logs=None):
        """Have `fit` go on with the next epoch."""
        if self._ended:
            self._ended, self.model.stop_training = False, False
