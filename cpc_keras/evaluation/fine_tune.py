"""A classifier from a pre-trained encoder and a few labels, as files that any project opens."""

import os
from collections.abc import Callable

import keras

from cpc_keras.augmentations import image_augmentation
from cpc_keras.data import Splits, label_subset
from cpc_keras.evaluation.choose_setting import choose_setting
from cpc_keras.evaluation.image_classifier import image_classifier
from cpc_keras.evaluation.network_row import FINE_TUNING_SETTINGS, NetworkRow
from cpc_keras.evaluation.write_classifier import check_free, write_classifier


def fine_tune(
    encoder: keras.Model,
    splits: Splits,
    out: str | os.PathLike,
    *,
    fraction: float = 1.0,
    num_steps: int = 250,
    learning_rate: float | None = None,
    augmentation: str = "none",
    batch_size: int = 32,
    class_weight: str | None = None,
    seed: int = 0,
    facts: dict | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_step: Callable[[], None] = lambda: None,
) -> dict:
    """Train an encoder with a classifier on labels, and write it as a directory.

    As the row `cpc_fine_tuned` of `comparison_rows`: the head starts as the linear probe on the
    encoder's features, then all of it is trained (`NetworkRow`). Of two learning rates the better
    on a quarter of the labels, held out, is taken; test images choose nothing.

    The directory is that of `write_classifier`: `classifier.keras`, of stock layers alone,
    `saved_model/`, `labels.csv` and `metrics.json`, whole or not there.

    Args:
        encoder: any `keras.Model` from images to features; it stays as it is.
        splits: labelled training and test images.
        out: the directory; must not be there, or be empty.
        fraction: share of the training labels, class balanced (`label_subset`).
        num_steps: training steps; a trial takes half as many.
        learning_rate: the peak; by default one of two is chosen.
        augmentation: name of an `image_augmentation`.
        batch_size: images a step.
        class_weight: "balanced" for classes of different sizes that count alike: the loss weights
            each image by the inverse of the number of its class, and the rate is chosen by
            balanced accuracy.
        seed: of the label subset, the head and the order of the batches.
        facts: what else `metrics.json` is to tell, for example the command.
        on_start: called with the number of steps that all trials and the training take.
        on_step: called after each step, for example to move a progress bar.

    Returns:
        What `metrics.json` holds: those of `classification_metrics` on the test images,
        `num_labels`, `fraction`, `setting`, `held_out_accuracy` (the balanced one, with
        `class_weight`), `class_names` and the facts.

    Raises:
        FileExistsError: something is in `out`.
        ValueError: images without labels, or of several classes each, or without a test split; or
            another `class_weight`.

    Example:
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> part = ImageData(images, labels=np.array([0, 1, 0, 1]))
        >>> result = fine_tune(encoder, Splits(part, part), "mine", num_steps=2)
        >>> keras.saving.load_model("mine/classifier.keras").output_shape
        (None, 2)
    """
    check_free(out)
    train, test = splits
    labels = train.require_labels()
    if test is None or not len(test):
        raise ValueError(f"{train.source} has no test images. Pass test_fraction, such as 0.2.")
    test.require_labels()
    if labels.ndim != 1:
        raise ValueError(
            f"fine_tune: {train.source} has images of several classes each. Expected one an image. "
            "linear_probe takes both."
        )
    index = label_subset(labels, fraction, seed=seed)
    # Also of classes that only test images have, which are measured as well.
    num_classes = max(len(train.class_names), splits.num_classes, 2)
    settings = FINE_TUNING_SETTINGS
    if learning_rate is not None:
        settings = ({"learning_rate": learning_rate},)
    keras.utils.set_random_seed(seed)
    row = NetworkRow(
        "fine_tune",
        image_classifier(encoder, num_classes=num_classes),
        train_images=train.images,
        test_images=test.images,
        image_augmentation=image_augmentation(augmentation, train.image_shape),
        num_steps=lambda num_labels: num_steps,
        batch_size=batch_size,
        start_at_probe=True,
        settings=settings,
        class_weight=class_weight,
        seed=seed,
        callbacks=[
            keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: on_step())
        ],
    )
    trials = len(settings) if len(settings) > 1 else 0
    on_start(num_steps + trials * max(1, num_steps // 2))
    setting, accuracy = settings[0], None
    if trials:
        setting, accuracy = choose_setting(
            row, labels, index, groups=train.groups, class_weight=class_weight
        )
    probabilities = row.fit_predict(index, labels[index], setting=setting)
    return write_classifier(
        row.network,
        splits,
        out,
        index=index,
        probabilities=probabilities,
        facts={
            "fraction": fraction,
            "setting": setting,
            "held_out_accuracy": accuracy,
            "augmentation": augmentation,
            "num_steps": num_steps,
            "batch_size": batch_size,
            "class_weight": class_weight,
            "seed": seed,
            **(facts or {}),
        },
    )
