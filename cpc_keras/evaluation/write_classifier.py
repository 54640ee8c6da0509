"""A classifier as files that any project opens."""

import json
import os
import pathlib
import shutil

import keras
import numpy as np

from cpc_keras.data import ImageData, Splits, write_label_subset
from cpc_keras.evaluation.classification_metrics import classification_metrics
from cpc_keras.export.recover import hold, recover, sibling
from cpc_keras.export.save_portable import save_portable


def write_classifier(
    logits: keras.Model,
    splits: Splits,
    out: str | os.PathLike,
    *,
    index: np.ndarray,
    probabilities: np.ndarray | None = None,
    facts: dict | None = None,
) -> dict:
    """Measure a classifier on the test images, and write it as a directory.

    The directory holds `classifier.keras` (images in [0, 255] to class probabilities),
    `saved_model/` (the same, for `tf.saved_model.load` and serving), `labels.csv` (the labels it
    was trained on) and `metrics.json`. It is written beside its place and renamed: whole, or not
    there.

    Args:
        logits: model from images to logits `[batch, num_classes]`, such as the `classifier` of a
            `SemiSupervisedModel`.
        splits: training images, and test images of the size that the model takes. Where no test
            image has a label, nothing is measured.
        out: the directory; must not be there, or be empty.
        index: positions `[k]` of the training images whose labels it was trained on.
        probabilities: what it gives the test images, `[number of test images, num_classes]`, where
            that is known; by default they are predicted.
        facts: what else `metrics.json` is to tell, for example the command.

    Returns:
        What `metrics.json` holds: those of `classification_metrics` on the test images,
        `num_labels`, `class_names` and the facts.

    Raises:
        FileExistsError: something is in `out`.

    Example:
        >>> model = SemiSupervisedModel((8, 8, 1), 2, encoder="mlp")
        >>> part = ImageData(images, labels=np.array([0, 1, 0, 1]))
        >>> result = write_classifier(model.classifier, Splits(part, part), "ours", index=[0, 1])
        >>> result["num_images"], result["num_labels"]
        (4, 2)
        >>> keras.saving.load_model("ours/classifier.keras").output_shape
        (None, 2)
    """
    out = check_free(out)
    classifier = keras.Model(
        logits.inputs[0],
        keras.layers.Softmax(dtype="float32")(logits.outputs[0]),
        name="classifier",
    )
    names = [str(name) for name in splits.train.class_names]
    result = {
        **_measured(classifier, splits.test, probabilities),
        "num_labels": len(index),
        # A class may have no name.
        "class_names": names + [str(i) for i in range(len(names), classifier.output_shape[-1])],
        **(facts or {}),
    }
    _write(classifier, result, out, splits.train, index)
    return result


def check_free(out: str | os.PathLike) -> pathlib.Path:
    """Return the path of a directory that may be written; sweep what killed ones left beside it.

    Raises:
        FileExistsError: something is there.
    """
    out = pathlib.Path(os.path.realpath(out))
    recover(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(
            f"{out} is there already. Nothing is overwritten: choose another directory, or move it "
            "away."
        )
    return out


def _measured(classifier, test: ImageData | None, probabilities):
    if test is None or test.labels is None or not (test.labels >= 0).any():
        return {}
    if probabilities is None:
        probabilities = classifier.predict(test.images, batch_size=250, verbose=0)
    known = test.labels >= 0
    groups = None if test.groups is None else test.groups[known]
    return classification_metrics(probabilities[known], test.labels[known], groups=groups)


def _write(classifier, result, out, train, index):
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = pathlib.Path(sibling(str(out), "partial"))
    partial.mkdir()
    try:
        with hold(partial):
            save_portable(classifier, partial / "classifier.keras")
            classifier.export(partial / "saved_model", verbose=False)
            write_label_subset(partial / "labels.csv", train, index)
            (partial / "metrics.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
            # Over an empty directory too; never over one that holds something.
            partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
