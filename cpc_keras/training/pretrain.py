"""Pre-train a model into a run directory."""

import contextlib
import copy
import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence

import keras
import numpy as np
import yaml

from cpc_keras.data import image_batches, mixed_batches
from cpc_keras.data.left_out import LEFT_OUT
from cpc_keras.evaluation import result_lock
from cpc_keras.export import load_keras_file
from cpc_keras.layers.dtype_scope import dtype_scope
from cpc_keras.training.callbacks import (
    Checkpoints,
    EpochSeeds,
    MetricsCSV,
    ResumeWithinEpoch,
    TensorBoard,
    TrainingProgress,
)
from cpc_keras.training.checkpoint_schedule import CheckpointSchedule
from cpc_keras.training.checkpoints import all_checkpoints, newest_checkpoint
from cpc_keras.training.distribution_strategy import scope_of
from cpc_keras.training.lars import LARS
from cpc_keras.training.recipe import PRECISIONS, Recipe
from cpc_keras.training.run_state import RunState, has_state
from cpc_keras.training.signal_stop import SignalStop
from cpc_keras.training.stop_at_nan import StopAtNaN
from cpc_keras.training.worker import Worker
from cpc_keras.training.write_atomically import PARTIAL, write_atomically

OPTIMIZERS = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "lamb": keras.optimizers.Lamb,
    "lars": LARS,
    "sgd": keras.optimizers.SGD,
}
SCHEDULES = ("cosine", "constant")
# Settings of a run that never began.
REPLACED = "config.replaced.yaml"
# What to say to those who would make a run longer.
LONGER = (
    " With more epochs a run is another one, which begins anew: by the cosine schedule the "
    "learning rate falls to zero in the last of them."
)


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
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoints: CheckpointSchedule | None = None,
    step_backs: int = 0,
    labels: np.ndarray | None = None,
    labeled_index: np.ndarray | None = None,
) -> keras.Model:
    """Train with no or few labels, resumably: the same call goes on where the last one stopped.

    The run directory gets `config.yaml`, `metrics.csv` (one line an epoch), `checkpoints/` and, on
    demand, TensorBoard logs.

    A run that a callback such as `EarlyStopping` ended is finished: the same call trains no more.

    A run may be killed at any moment. Called again, it goes on from the newest checkpoint that is
    whole, which may lie within an epoch, and ends with the weights, the optimizer and the metrics
    of a run that was never stopped: to the last bit where the same steps give the same bits, as on
    a CPU with `tf.config.experimental.enable_op_determinism()`. SIGTERM and Ctrl-C let the step
    end, save, and then do what they would have done.

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
            as if nothing had happened. Under a `MultiWorkerMirroredStrategy` every worker calls
            this with the same arguments, and a `run_directory` that all see; the files there are
            the first one's. Callbacks that write files belong to the first one alone
            (`Worker.of(strategy).is_first`).
        callbacks: further callbacks, such as `SaveEncoders`. What they put into an epoch's logs
            goes into `metrics.csv`. One whose state outlives a step gives it in `state_dict()`,
            dicts and lists of JSON's types and arrays, and takes it back in
            `load_state_dict(state)`, or it begins anew when a run is resumed. One with a method
            `restore` is told, before a run goes on, what its finished epochs have logged, a list of
            dicts.
        checkpoints: when to save and how many to keep.
        step_backs: how often the run may go back, where its loss is no number or explodes, to the
            end of the last epoch before, and goes on with half the learning rate. It then saves
            after every epoch.
        labels: integers `[n]`, for methods that use labelled images too; with `labeled_index`.
        labeled_index: positions `[k]` of the images whose labels are seen; batches are then those
            of `data.mixed_batches` with the recipe's `unlabeled_ratio`, or of labelled images alone
            where the model makes nothing of others (`uses_unlabeled`).

    Returns:
        The trained, compiled model.

    Raises:
        FileExistsError: the directory belongs to a run with other settings, or is no run.
        ValueError: fewer images than a batch, a batch that replicas cannot share evenly, other
            images than the run began with, or workers that have other images or checkpoints than
            one another.
        ConnectionError: another worker has ended, or hangs; the same call of all goes on.
        FloatingPointError: a loss that is not finite or explodes; checkpoints of before stay.
        BlockingIOError: another process trains in the directory.
        OSError: a checkpoint could not be written, on a full disk for example; those before stay.
    """
    run_directory = pathlib.Path(run_directory)
    _check_batches(len(images), recipe, strategy)
    facts = {**_label_facts(labels, labeled_index), **(facts or {})}
    worker, settings = Worker.of(strategy), {**dataclasses.asdict(recipe), **facts}
    with worker.telling_of_losses(run_directory / "checkpoints"):
        if worker.is_first:
            _claim(run_directory, settings, may_replace=True)
        worker.wait()
        if not worker.is_first:
            # That of the first, by now; another one's settings are refused.
            _claim(run_directory, settings)
        with (
            _alone(run_directory, worker),
            _dtype_policy(recipe.precision),
            worker.own_directory(run_directory) as own,
        ):
            if not worker.is_first:
                _copy_run(run_directory, own)
            run = _Run(
                build_model=build_model,
                images=images,
                directory=own,
                worker=worker,
                recipe=recipe,
                held_out_images=held_out_images,
                tensorboard=tensorboard,
                strategy=strategy,
                callbacks=tuple(callbacks),
                checkpoints=checkpoints or CheckpointSchedule(),
                step_backs=step_backs,
                labels=labels,
                labeled_index=labeled_index,
            )
            return run.to_the_end()


@dataclasses.dataclass
class _Run:
    """A run and its ways on: from nothing, from a checkpoint, and back to one."""

    build_model: Callable[[], keras.Model]
    images: np.ndarray
    directory: pathlib.Path
    worker: Worker
    recipe: Recipe
    held_out_images: np.ndarray | None
    tensorboard: bool
    strategy: object
    callbacks: tuple
    checkpoints: CheckpointSchedule
    step_backs: int
    labels: np.ndarray | None
    labeled_index: np.ndarray | None
    stop: SignalStop = dataclasses.field(default_factory=SignalStop)

    @property
    def num_steps(self):
        return self.recipe.steps_per_epoch or self.steps_of_a_pass

    @property
    def steps_of_a_pass(self):
        return len(self.images) // self.recipe.batch_size

    @property
    def checkpoint_directory(self):
        return self.directory / "checkpoints"

    def to_the_end(self):
        """Train what remains, going back where that is asked for."""
        found = newest_checkpoint(self.checkpoint_directory)
        if found and (found.epoch or found.step):
            total = self.recipe.num_epochs
            early = found.epoch < total and _is_finished(found.state())
            told = "A callback ended this run" if early else "Going on"
            print(f"{told} after {found.place} of {total} epochs ({found.path}).")
        fresh = [(c, copy.deepcopy(c.state_dict())) for c in self.callbacks if has_state(c)]
        num_backs = 0
        while True:
            # Also waits until all have read what the first one will write.
            self._check_alike(found)
            model, state = self._model_of(found)
            self._check_weights(model)
            backs_before = state["facts"]["step_backs"] if state else 0
            num_backs = max(num_backs, backs_before)
            if num_backs > backs_before:
                model.optimizer.learning_rate = _rate(
                    self.recipe, self.num_steps, factor=0.5**num_backs
                )
            try:
                self._fit(model, found, state, num_backs)
                return model
            except FloatingPointError as error:
                if num_backs >= self.step_backs or self.stop.requested is not None:
                    raise
                num_backs += 1
                for callback, begun in fresh:
                    callback.load_state_dict(begun)
                found = self._go_back(error, num_backs)

    def _check_alike(self, found):
        """Refuse workers of which each would train something else."""
        epoch, step = (found.epoch, found.step) if found else (0, 0)
        different = self.worker.differing(images=len(self.images), epochs=epoch, steps=step)
        if different:
            raise ValueError(
                f"The workers differ in their numbers of {', '.join(different)}: worker "
                f"{self.worker.index} of {self.worker.count} has {len(self.images)} images and "
                f"goes on {f'after {found.place}' if found else 'from the beginning'}. Expected "
                "the same images and the same checkpoints. Give all of them the same data, and "
                "one run directory that all of them see."
            )

    def _check_weights(self, model):
        """Refuse workers that begin with other weights than one another."""
        if self.worker.count == 1:
            return
        digest = hashlib.blake2b(digest_size=4)
        for weight in model.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
        # As a number, so that workers can compare it without sending weights.
        if self.worker.differing(weights=int.from_bytes(digest.digest())):
            raise ValueError(
                f"The workers begin with different weights (worker {self.worker.index} of "
                f"{self.worker.count}). Expected the same. Give all of them the same files: of the "
                "weights to begin with (--init), and one run directory that all of them see."
            )

    def _model_of(self, found):
        keras.utils.set_random_seed(self.recipe.seed)
        if not found:
            with scope_of(self.strategy):
                model = self.build_model()
                _compile(model, self.recipe, self.num_steps)
            return model, None
        with scope_of(self.strategy):
            model = load_keras_file(found.path)
        state = found.state()
        if state and state["facts"]["num_images"] != len(self.images):
            raise ValueError(
                f"The run in {self.directory} began with {state['facts']['num_images']} images, "
                f"and now there are {len(self.images)}. Expected the same ones. Bring them back, "
                "or begin a new run in another output directory."
            )
        return model, state

    def _fit(self, model, found, state, num_backs):
        recipe, num_steps = self.recipe, self.num_steps
        first_epoch, first_step = (found.epoch, found.step) if found else (0, 0)
        if first_epoch >= recipe.num_epochs or _is_finished(state):
            # The last checkpoint holds the weights beside their average, as training needs them.
            model.optimizer.finalize_variable_values(model.trainable_variables)
            return
        progress = TrainingProgress(recipe.num_epochs, num_steps, first_epoch, first_step)
        callbacks = [StopAtNaN(checkpoints=self.checkpoint_directory), EpochSeeds(recipe.seed)]
        if first_step:
            callbacks.append(ResumeWithinEpoch(state, num_steps - first_step))
        # Others' callbacks come before those that write what they found.
        metrics = MetricsCSV(self.directory / "metrics.csv", first_epoch)
        callbacks += [*self.callbacks, metrics]
        for callback in self.callbacks:
            if hasattr(callback, "restore"):
                callback.restore(metrics.rows)
        callbacks.append(progress)
        if self.tensorboard:
            steps_done = first_epoch * num_steps + first_step
            callbacks.append(TensorBoard(self.directory / "logs", steps_done))
        run_state = RunState(callbacks, {"num_images": len(self.images), "step_backs": num_backs})
        if state:
            run_state.give_callbacks(state)
        with self.stop as stop:
            callbacks.append(
                Checkpoints(
                    self.checkpoint_directory,
                    recipe.num_epochs,
                    num_steps,
                    schedule=self.checkpoints,
                    state=run_state,
                    first_step=first_step,
                    stop=stop,
                    every_epoch=self.step_backs > 0,
                    worker=self.worker,
                )
            )
            # Methods that use labels are not judged: labels of test images must not tell when to
            # stop, and without them nothing is left to measure.
            judged = model.judges_held_out and self.labels is None
            validation = self._held_out_batches() if judged else None
            try:
                model.fit(
                    self._batches(model, first_epoch, first_step),
                    steps_per_epoch=num_steps,
                    initial_epoch=first_epoch,
                    epochs=recipe.num_epochs,
                    validation_data=validation,
                    callbacks=callbacks,
                    shuffle=False,  # the dataset does it
                    verbose=0,
                )
            finally:
                progress.close()

    def _batches(self, model, first_epoch, first_step):
        recipe = self.recipe
        # Data count passes, whatever an epoch of the run is.
        passes, steps = divmod(first_epoch * self.num_steps + first_step, self.steps_of_a_pass)
        options = {
            "batch_size": recipe.batch_size,
            "seed": recipe.seed,
            "first_epoch": passes,
            "first_step": steps,
            "crop_size": recipe.crop_size,
            "flip": recipe.flip,
        }

        def make(share):
            if self.labeled_index is None:
                return image_batches(self.images, share=share, **options)
            # What adds nothing to the loss need not be encoded.
            ratio = recipe.unlabeled_ratio if model.uses_unlabeled else 0
            return mixed_batches(
                self.images,
                self.labels,
                self.labeled_index,
                ratio=ratio,
                share=share,
                **options,
            )

        batches = self.worker.shared(make)
        if keras.backend.backend() != "tensorflow":
            # Of a generator: Keras lets nobody end an epoch of a `PyDataset` early and go on.
            batches = ((batch,) for batch in batches)
        return batches

    def _held_out_batches(self):
        images, size, crop_size = (
            self.held_out_images,
            self.recipe.batch_size,
            self.recipe.crop_size,
        )
        if images is None or len(images) < size:
            return None
        # The number of candidates, and with it the loss, depends on the batch: a smaller last batch
        # would be another measure.
        images = images[: len(images) // size * size]
        options = {"batch_size": size, "crop_size": crop_size, "shuffle": False, "epochs": 1}
        return self.worker.shared(lambda share: image_batches(images, share=share, **options))

    def _go_back(self, error, num_backs):
        # To the end of an epoch, not to the newest checkpoint: that one depends on the clock, and
        # the run would not be the same twice.
        found = newest_checkpoint(self.checkpoint_directory, whole_epochs=True)
        for checkpoint in all_checkpoints(self.checkpoint_directory):
            if found is None or checkpoint[1:] > found[1:]:
                checkpoint.path.unlink()
        print(
            f"{error}\nGoing back to {found.place if found else 'the beginning'}, with "
            f"{0.5**num_backs:g} times the learning rate (step back {num_backs} of at most "
            f"{self.step_backs})."
        )
        return found


def _is_finished(state):
    """Whether training ended with that state: at the last epoch, or by a callback."""
    return bool(state and state["facts"].get("finished"))


@contextlib.contextmanager
def _alone(run_directory, worker):
    """Hold the run's lock: two processes would clear each other's files away."""
    if not worker.is_first:
        yield
        return
    path = run_directory / ".lock"
    with result_lock(path, wait=False) as mine:
        if not mine:
            raise BlockingIOError(
                f"Another process trains in {run_directory}. Expected one alone. Wait for its end, "
                f"or choose another output directory. (If there is none any more: remove {path}.)"
            )
        yield


def _copy_run(run_directory, own):
    """Copy what a run goes on from, and what it may go back to."""
    checkpoints = run_directory / "checkpoints"
    found = {newest_checkpoint(checkpoints, whole_epochs=whole) for whole in (False, True)} - {None}
    if found:
        (own / "checkpoints").mkdir()
        for checkpoint in found:
            shutil.copy(checkpoint.path, own / "checkpoints")
        if (run_directory / "metrics.csv").exists():  # not before the first epoch ends
            shutil.copy(run_directory / "metrics.csv", own)


def _dtype_policy(precision):
    if precision not in PRECISIONS:
        raise ValueError(
            f"The precision of a recipe must be one of {PRECISIONS}. Received: {precision!r}."
        )
    return dtype_scope(precision)


def _label_facts(labels, labeled_index):
    """What tells one choice of labels from another."""
    if (labels is None) != (labeled_index is None):
        raise ValueError(
            "labels and labeled_index go together: all labels, and the positions of those that are "
            f"seen. Received {'labels' if labeled_index is None else 'labeled_index'} alone."
        )
    if labels is None:
        return {}
    index = np.asarray(labeled_index, "int64")
    seen = np.stack([index, np.asarray(labels)[index].astype("int64")])
    return {"num_labels": len(index), "labels": hashlib.sha256(seen.tobytes()).hexdigest()[:16]}


def _check_batches(num_images, recipe, strategy):
    if recipe.steps_per_epoch is not None and recipe.steps_per_epoch < 1:
        raise ValueError(
            "The recipe's steps_per_epoch must be at least 1, or None for those of a pass over "
            f"the images. Received: {recipe.steps_per_epoch}."
        )
    if num_images < recipe.batch_size:
        raise ValueError(
            f"{num_images} images do not fill one batch of {recipe.batch_size}. Use more images "
            "or a smaller batch size."
        )
    num_replicas = 1 if strategy is None else strategy.num_replicas_in_sync
    if recipe.batch_size % num_replicas:
        raise ValueError(
            f"A batch of {recipe.batch_size} images cannot be shared evenly by {num_replicas} "
            f"replicas. Use a batch size that is a multiple of {num_replicas}."
        )


def _compile(model, recipe, num_steps):
    if recipe.optimizer not in OPTIMIZERS:
        raise ValueError(
            f"The optimizer of a recipe must be one of {tuple(OPTIMIZERS)}. Received: "
            f"{recipe.optimizer!r}."
        )
    optimizer = OPTIMIZERS[recipe.optimizer]
    # In mixed_float16, Keras puts a LossScaleOptimizer around it.
    model.compile(optimizer=optimizer(_rate(recipe, num_steps), **recipe.optimizer_options))


def _rate(recipe, num_steps, *, factor=1.0):
    """The learning rate, a number or a schedule, that a recipe asks for, times a factor."""
    rate = recipe.learning_rate * factor
    if recipe.schedule not in SCHEDULES:
        raise ValueError(
            f'The schedule of a recipe must be "cosine" or "constant". Received: '
            f"{recipe.schedule!r}."
        )
    if recipe.schedule == "constant":
        return rate
    # Keras's schedules count every step, also those that only gather gradients for an update.
    total = recipe.num_epochs * num_steps
    warm_up = max(1, int(total * recipe.warmup))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - warm_up), warmup_target=rate, warmup_steps=warm_up
    )


def _claim(run_directory, config, *, may_replace=False):
    """Write `config.yaml`, or check that the one that is there is the same.

    With `may_replace` the settings of a run that never began, since its model could not be built
    for example, give way.
    """
    path = run_directory / "config.yaml"
    # Through YAML and back, so that tuples and lists compare equal.
    text = yaml.safe_dump(_plain(config), sort_keys=False)
    if path.exists():
        # Settings that came later than the run had their defaults.
        written = yaml.safe_load(path.read_text())
        before = {**_plain(dataclasses.asdict(Recipe())), **written}
        now = yaml.safe_load(text)
        if before == now:
            return
        if not (may_replace and _never_began(run_directory, written)):
            different = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
            raise FileExistsError(
                f"{run_directory} holds a run with other settings ({', '.join(different)} differ; "
                f"see {path}). Choose another output directory, or repeat the settings to resume."
                + (LONGER if "num_epochs" in different else "")
            )
        shutil.copy(path, run_directory / REPLACED)
        print(
            f"{run_directory} held the settings of a run that never began: they are replaced, and "
            f"kept as {REPLACED}."
        )
    # A kill may have come while the settings were written, before all else.
    elif run_directory.exists() and _names_in(run_directory) - {f"{PARTIAL}{path.name}"}:
        raise FileExistsError(
            f"{run_directory} exists, is not empty and is no run of cpc-keras (no config.yaml). "
            "Choose another output directory."
        )
    run_directory.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as partial:
        partial.write_text(text)


def _never_began(run_directory, settings):
    """Whether a run's own settings are all there is, and nobody is at it."""
    lock = run_directory / ".lock"
    written_before = {"config.yaml", f"{PARTIAL}config.yaml", REPLACED, lock.name, LEFT_OUT}
    if _names_in(run_directory) - {*written_before, f"{PARTIAL}{LEFT_OUT}"}:
        return False
    # A file that somebody wrote by hand need not name every setting.
    if {field.name for field in dataclasses.fields(Recipe)} - {*settings}:
        return False
    with result_lock(lock, wait=False) as mine:
        return mine


def _names_in(directory):
    return {path.name for path in directory.iterdir()}


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
