"""The probes of a run on the command line."""

import pathlib

import keras
import numpy as np

from cpc_keras.cli.chosen_data import drawn
from cpc_keras.data import ImageData, Splits, hold_out
from cpc_keras.methods import METHODS, model_of
from cpc_keras.training import (
    CollapseMonitor,
    EmbeddingProjector,
    ImprovementMonitor,
    KNNProbe,
    LinearProbe,
    MutualInformation,
    Recipe,
)

# With so many the deviation of an accuracy is below two points, and measuring takes seconds.
NUM_PROBED = 1000


def probe_callbacks(
    splits: Splits,
    recipe: Recipe,
    *,
    every: int,
    num_held_out: int,
    projector: pathlib.Path | None = None,
) -> list[keras.callbacks.Callback]:
    """Choose the probes that the data allow.

    Of images of which only some are labelled those are drawn, so that few labels suffice. The
    classes are those of images that are trained on without them: what is scored at the end, the
    test images, must not have told when to stop. Methods that use labels have seen those of these
    images, all or the share of `--label-fraction`: their accuracies are those of training. Bounds
    of the mutual information need images that were not trained on, and no labels: they take test
    images.

    Args:
        splits: the data of the run.
        recipe: its settings.
        every: epochs from one measurement to the next; 0 for no probes.
        num_held_out: how many test images are measured.
        projector: directory for files of TensorBoard's projector, if any are wanted.

    Returns:
        Callbacks for `pretrain`.
    """
    if not every:
        return []
    probed = drawn(_labeled_where_some_are(splits.train), NUM_PROBED)
    images = as_seen(probed, recipe)
    callbacks = [CollapseMonitor(images, every=every)]
    held_out = drawn(splits.test, num_held_out)
    labels, groups = probed.labels, probed.groups
    # Of training, where nothing else is there to look at: it may grow by heart.
    monitor = "mutual_information"
    is_bound = model_of(METHODS[recipe.method]).bounds_information
    if held_out and len(held_out) >= recipe.batch_size and is_bound:
        monitor = "val_mutual_information"
        callbacks.append(
            MutualInformation(as_seen(held_out, recipe), batch_size=recipe.batch_size, every=every)
        )
    if labels is not None and labels.ndim == 1 and len(np.unique(labels)) > 1:
        fit, others = hold_out(labels, seed=0, groups=groups)
        if len(others):
            monitor = "knn_accuracy"
            callbacks.append(KNNProbe(images, labels, groups=groups, every=every))
        # Whole groups may leave one class alone to fit on.
        if len(others) and len(np.unique(labels[fit])) > 1:
            callbacks.append(LinearProbe(images, labels, groups=groups, every=every))
    callbacks.append(ImprovementMonitor(monitor))
    if projector is not None:
        callbacks.append(
            EmbeddingProjector(
                projector, images, labels, class_names=probed.class_names, every=every
            )
        )
    return callbacks


def _labeled_where_some_are(data):
    """The images that have a class, of which few may; all where none has one."""
    labels = data.labels
    some = labels is not None and labels.ndim == 1 and (labels >= 0).any()
    return data.labeled() if some else data


def as_seen(data: ImageData, recipe: Recipe) -> np.ndarray:
    """The images in memory, of the size that the model takes: the center where it takes crops."""
    images, size = np.asarray(data.images[np.arange(len(data))]), recipe.crop_size
    if not size:
        return images
    top, left = ((side - size) // 2 for side in images.shape[1:3])
    return images[:, top : top + size, left : left + size]
