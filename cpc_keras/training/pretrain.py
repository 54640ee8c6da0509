"""Pre-train a model into a run directory."""

import dataclasses
import os
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import yaml

from cpc_keras.data import image_batches
from cpc_keras.training.callbacks import (
    Checkpoints,
    EpochSeeds,
    MetricsCSV,
    TrainingProgress,
)
from cpc_keras.training.checkpoints import newest_checkpoint
from cpc_keras.training.distribution_strategy import scope_of
from cpc_keras.training.lars import LARS
from cpc_keras.training.recipe import Recipe
from cpc_keras.training.stop_at_nan import StopAtNaN


def pretrain(
    build_model: Callable[[], keras.Model],
    images: np.ndarray,
    *,
    run_directory: str | os.PathLike,
    recipe: Recipe,
    facts: dict | None = None,
    held_out_images: np.ndarray | None = None,
    tensorboard: bool = False,
    strategy=None,
) -> keras.Model:
    """Train without labels, resumably: the same call goes on where the last one stopped.

    The run directory gets `config.yaml`, `metrics.csv` (one line an epoch), `checkpoints/` and, on
    demand, TensorBoard logs.

    Args:
        build_model: returns the model to train from scratch.
        images: `[n, height, width, channels]`, in [0, 255].
        run_directory: directory of the run; made, or resumed.
        recipe: the settings.
        facts: further settings that make a run what it is (the data, say). A directory with other
            settings is refused.
        held_out_images: measured after each epoch, logged as `val_...`; nothing is chosen by them.
            Not measured where the model's loss is of its training images alone.
        tensorboard: write TensorBoard logs into `logs/`.
        strategy: a `tf.distribute.Strategy`, such as `MirroredStrategy()`, whose replicas share
            each batch; see `training.distribution_strategy`. The settings of a run do not tell of
            it: where nothing is drawn at random, one that was begun on one device goes on with two
            as if nothing had happened.

    Returns:
        The trained, compiled model.

    Raises:
        FileExistsError: the directory belongs to a run with other settings, or is no run.
        ValueError: fewer images than a batch, or a batch that replicas cannot share evenly.
        FloatingPointError: a loss that is not finite; checkpoints of earlier epochs stay.
    """
    run_directory = pathlib.Path(run_directory)
    num_steps = len(images) // recipe.batch_size
    if not num_steps:
        raise ValueError(
            f"{len(images)} images do not fill one batch of {recipe.batch_size}. Use more images "
            "or a smaller batch size."
        )
    num_replicas = 1 if strategy is None else strategy.num_replicas_in_sync
    if recipe.batch_size % num_replicas:
        raise ValueError(
            f"A batch of {recipe.batch_size} images cannot be shared evenly by {num_replicas} "
            f"replicas. Use a batch size that is a multiple of {num_replicas}."
        )
    _claim(run_directory, {**dataclasses.asdict(recipe), **(facts or {})})
    found = newest_checkpoint(run_directory / "checkpoints")
    if found:
        path, first_epoch = found
        with scope_of(strategy):
            model = keras.saving.load_model(path)
        if first_epoch:
            print(f"Going on after epoch {first_epoch} of {recipe.num_epochs} ({path}).")
    else:
        first_epoch = 0
        keras.utils.set_random_seed(recipe.seed)
        with scope_of(strategy):
            model = build_model()
            _compile(model, recipe, num_steps)
    if first_epoch >= recipe.num_epochs:
        # The last checkpoint holds the weights beside their average, as training needs them.
        model.optimizer.finalize_variable_values(model.trainable_variables)
        return model
    progress = TrainingProgress(recipe.num_epochs, num_steps, first_epoch)
    callbacks = [
        StopAtNaN(),
        EpochSeeds(recipe.seed),
        MetricsCSV(run_directory / "metrics.csv", first_epoch),
        Checkpoints(run_directory / "checkpoints", recipe.num_epochs),
        progress,
    ]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(run_directory / "logs"))
    try:
        model.fit(
            image_batches(
                images,
                batch_size=recipe.batch_size,
                seed=recipe.seed,
                first_epoch=first_epoch,
                crop_size=recipe.crop_size,
                flip=recipe.flip,
            ),
            steps_per_epoch=num_steps,
            initial_epoch=first_epoch,
            epochs=recipe.num_epochs,
            validation_data=_whole_batches(held_out_images, recipe)
            if model.judges_held_out
            else None,
            callbacks=callbacks,
            shuffle=False,  # the dataset does it
            verbose=0,
        )
    finally:
        progress.close()
    return model


def _compile(model, recipe, num_steps):
    model.compile(optimizer=_optimizer(recipe, recipe.num_epochs * num_steps))


def _optimizer(recipe, total):
    optimizers = {"adamw": keras.optimizers.AdamW, "adam": keras.optimizers.Adam, "lars": LARS}
    optimizers["sgd"] = keras.optimizers.SGD
    if recipe.optimizer not in optimizers:
        raise ValueError(
            f"The optimizer of a recipe must be one of {tuple(optimizers)}. Received: "
            f"{recipe.optimizer!r}."
        )
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        warm_up = max(1, int(total * recipe.warmup))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, total - warm_up), warmup_target=rate, warmup_steps=warm_up
        )
    elif recipe.schedule != "constant":
        raise ValueError(
            f'The schedule of a recipe must be "cosine" or "constant". Received: '
            f"{recipe.schedule!r}."
        )
    return optimizers[recipe.optimizer](rate, **recipe.optimizer_options)


def _whole_batches(images, recipe):
    # The number of candidates, and with it the loss, depends on the batch: a smaller last batch
    # would be another measure.
    if images is None or len(images) < recipe.batch_size:
        return None
    images = images[: len(images) // recipe.batch_size * recipe.batch_size]
    return image_batches(
        images, batch_size=recipe.batch_size, crop_size=recipe.crop_size, shuffle=False, epochs=1
    )


def _claim(run_directory, config):
    """Write `config.yaml`, or check that the one that is there is the same."""
    path = run_directory / "config.yaml"
    # Through YAML and back, so that tuples and lists compare equal.
    text = yaml.safe_dump(_plain(config), sort_keys=False)
    if path.exists():
        # Settings that came later than the run had their defaults.
        before = {**_plain(dataclasses.asdict(Recipe())), **yaml.safe_load(path.read_text())}
        now = yaml.safe_load(text)
        if before != now:
            different = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
            raise FileExistsError(
                f"{run_directory} holds a run with other settings ({', '.join(different)} differ; "
                f"see {path}). Choose another output directory, or repeat the settings to resume."
            )
        return
    if run_directory.exists() and any(run_directory.iterdir()):
        raise FileExistsError(
            f"{run_directory} exists, is not empty and is no run of cpc-keras (no config.yaml). "
            "Choose another output directory."
        )
    run_directory.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
