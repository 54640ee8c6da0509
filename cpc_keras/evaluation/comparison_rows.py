"""The six rows that every claim is made of."""

from collections.abc import Sequence

import keras
import numpy as np

from cpc_keras.augmentations import image_augmentation
from cpc_keras.data import Splits
from cpc_keras.evaluation.extract_features import extract_features
from cpc_keras.evaluation.image_classifier import image_classifier
from cpc_keras.evaluation.network_row import NetworkRow
from cpc_keras.evaluation.probe_row import RAW_PIXEL_SETTINGS, ProbeRow
from cpc_keras.evaluation.whole_image_cnn import whole_image_cnn

# In the order in which they are measured.
COMPARISON_ROWS = (
    "cpc_frozen",
    "random_frozen",
    "raw_pixels",
    "cpc_fine_tuned",
    "supervised",
    "cnn",
)


def comparison_rows(
    encoder: keras.Model,
    random_encoder: keras.Model,
    splits: Splits,
    *,
    num_steps,
    augmentation: str = "none",
    batch_size: int = 32,
    seed: int = 0,
    names: Sequence[str] = COMPARISON_ROWS,
) -> list:
    """Build the rows: CPC frozen and fine-tuned, and what it has to beat.

    | row | what it is |
    |---|---|
    | `cpc_frozen` | linear probe on the pre-trained encoder's features |
    | `cpc_fine_tuned` | the pre-trained encoder with that probe as its head, all of it trained |
    | `supervised` | the same network from random weights, trained on the labels alone |
    | `random_frozen` | linear probe on the untrained encoder's features |
    | `raw_pixels` | logistic regression on the pixels |
    | `cnn` | an ordinary convolutional network of as many parameters as the classifier |

    All rows get the same image augmentation (the pixels may do without) and the same number of
    tuning trials; the three networks the same optimizer, steps and batches.

    Args:
        encoder: pre-trained, images to features.
        random_encoder: the same architecture with random weights.
        splits: labelled training and test images.
        num_steps: function from the number of labels to the number of training steps.
        augmentation: name of an `image_augmentation`.
        batch_size: images a step.
        seed: of the heads' and the CNN's initial weights, and of the order of the batches.
        names: of the rows to build; the three probes take a small part of the time.

    Returns:
        `ProbeRow`s and `NetworkRow`s for `label_efficiency`, in the order of `COMPARISON_ROWS`.

    Raises:
        ValueError: an unknown name.
    """
    unknown = sorted({*names} - {*COMPARISON_ROWS})
    if unknown:
        raise ValueError(
            f"Expected rows of {', '.join(COMPARISON_ROWS)}. Received: {', '.join(unknown)}."
        )
    train, test = splits
    num_classes = splits.num_classes  # of which few labels may not have all
    keras.utils.set_random_seed(seed)

    classifier = image_classifier(encoder, num_classes=num_classes)
    cnn = whole_image_cnn(
        train.image_shape, num_classes=num_classes, num_parameters=classifier.count_params()
    )
    supervised = image_classifier(random_encoder, num_classes=num_classes)

    def images():
        return {
            "train_images": train.images,
            "test_images": test.images,
            "image_augmentation": image_augmentation(augmentation, train.image_shape),
        }

    def network_row(name, network, **kwargs):
        return NetworkRow(
            name,
            network,
            **images(),
            num_steps=num_steps,
            batch_size=batch_size,
            seed=seed,
            **kwargs,
        )

    def probe_row(name, to_features, **kwargs):
        return ProbeRow(name, to_features, **images(), num_classes=num_classes, **kwargs)

    def features_of(network):
        return lambda images: extract_features(network, images)

    def pixels(images):
        return images.reshape(len(images), -1).astype("float32") / np.float32(255)

    make = {
        "cpc_frozen": lambda name: probe_row(name, features_of(encoder)),
        "random_frozen": lambda name: probe_row(name, features_of(random_encoder)),
        "raw_pixels": lambda name: probe_row(name, pixels, settings=RAW_PIXEL_SETTINGS),
        "cpc_fine_tuned": lambda name: network_row(name, classifier, start_at_probe=True),
        "supervised": lambda name: network_row(name, supervised),
        # XLA takes a sixth off the steps of the ordinary CNN; those of thin context networks take
        # twice as long with it (TensorFlow 2.21, two cores).
        "cnn": lambda name: network_row(name, cnn, jit_compile=True),
    }
    rows = []
    for place, name in enumerate(COMPARISON_ROWS):
        if name in names:
            # What a row draws (dropout, augmentation) does not depend on which others there are.
            keras.utils.set_random_seed(len(COMPARISON_ROWS) * seed + place)
            rows.append(make[name](name))
    return rows
