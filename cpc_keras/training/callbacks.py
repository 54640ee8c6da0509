"""Keras callbacks of a pre-training run."""

import csv
import os
import pathlib
import time

import keras
import numpy as np

from cpc_keras.training.checkpoints import save_checkpoint


class TrainingProgress(keras.callbacks.Callback):
    """One progress bar over all steps: share done, steps a second, time left, newest metrics.

    Args:
        num_epochs: of the whole run.
        steps_per_epoch: training steps of an epoch.
        first_epoch: epochs that an earlier call has done.
    """

    def __init__(self, num_epochs: int, steps_per_epoch: int, first_epoch: int = 0):
        super().__init__()
        self._total = num_epochs * steps_per_epoch
        self._first = first_epoch * steps_per_epoch
        self._bar = None

    def on_train_begin(self, logs=None):
        """Open the bar."""
        from tqdm import tqdm

        self._bar = tqdm(
            desc="pre-training", total=self._total, initial=self._first, unit="step", mininterval=1
        )

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar."""
        self._bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Show the epoch's metrics."""
        told = {k: v for k, v in (logs or {}).items() if not k.endswith("_untrained")}
        shown = {k: f"{v:.3f}" for k, v in told.items() if not k.startswith("val_")}
        self._bar.set_postfix(epoch=epoch + 1, **shown)

    def close(self):
        """Close the bar, also where training was interrupted."""
        if self._bar is not None:
            self._bar.close()

    def on_train_end(self, logs=None):
        """Close the bar."""
        self.close()


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
        generators = [
            generator
            for layer in self.model._flatten_layers(include_self=True)
            for generator in layer._seed_generators
        ]
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
        partial = self._path.with_suffix(".partial")
        with open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(self._path)


def read_metrics(path: str | os.PathLike) -> list[dict]:
    """Read what `MetricsCSV` wrote; an empty list where there is no file."""
    if not os.path.exists(path):
        return []
    with open(path, newline="") as file:
        return [
            {k: int(v) if k == "epoch" else float(v) for k, v in row.items() if v}
            for row in csv.DictReader(file)
        ]


class Checkpoints(keras.callbacks.Callback):
    """Saves a checkpoint at the end of an epoch, at most every `seconds`, and of the last epoch.

    Args:
        directory: of the checkpoints.
        num_epochs: of the whole run.
        seconds: least time between two.
    """

    def __init__(self, directory: str | os.PathLike, num_epochs: int, seconds: float = 30.0):
        super().__init__()
        self._directory, self._num_epochs, self._seconds = directory, num_epochs, seconds
        self._last = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Save if it is time."""
        if time.monotonic() - self._last >= self._seconds or epoch + 1 == self._num_epochs:
            save_checkpoint(self.model, self._directory, epoch=epoch + 1)
            self._last = time.monotonic()
