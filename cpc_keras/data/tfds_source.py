"""Images from TensorFlow Datasets."""

from __future__ import annotations

import difflib
import functools
import os
import pathlib
import warnings
from typing import TYPE_CHECKING

import numpy as np

from cpc_keras.data.image_data import ImageData, Splits
from cpc_keras.data.progress_bar import progress_bar
from cpc_keras.data.require_memory import require_memory
from cpc_keras.data.stored_values import StoredValues

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

_TEST_NAMES = ("test", "validation", "val")


def tfds_source(
    name: str,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
) -> Splits:
    """Loads the train and test images of a TFDS dataset.

    The dataset's features `image` and, where there is one integer an image, `label` are used. The
    test split is `test`, else `validation`, else `val`; where the train images have labels, the
    first of them that has labels too, with a warning where another comes before it. Prepared data
    is looked for in the directory named by the environment variable `TFDS_DATA_DIR` (else TFDS's
    own default); what is not there is downloaded and prepared into it.

    Args:
        name: TFDS name, with config and version where wanted: `"cifar10"`, `"cifar10:3.0.2"`.
        image_size: `(height, width)` to resize to; None if all images have one size.
        channels: 1 (grey) or 3 (RGB); None keeps what there is.
        pixel_range: `(low, high)`, the pixels that become 0 and 255; None is the whole range of 8
            or 16 bits.

    Returns:
        Train and test images in the order of the dataset's files; test is None where there is
        no such split. Labels below 0 throughout (a hidden test set) become None.

    Raises:
        ImportError: If tensorflow-datasets is not installed.
        ValueError: If the name is unknown, the dataset has no images or no train split, the images
            have different sizes and `image_size` is None, or memory does not suffice.

    Example:
        >>> train, test = tfds_source("cifar10")  # doctest: +SKIP
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"tfds_source: tensorflow-datasets cannot be imported ({error}). Run: pip install "
            '"cpc-keras[tfds]"'
        ) from error
    builder = _find_builder(name, tfds)
    _check_image(name, builder)
    if not builder.is_prepared():
        builder.download_and_prepare()
    splits = builder.info.splits
    if "train" not in splits:
        raise ValueError(
            f"tfds:{name}: received a dataset with the splits {', '.join(splits)}. Expected one "
            "named train. Choose another dataset, or another config (tfds:NAME/CONFIG)."
        )
    fit = {"image_size": image_size, "channels": channels, "pixel_range": pixel_range}

    def load(split: str) -> ImageData:
        return _load_split(builder, split, fit, f"tfds:{name}")

    train = load("train")
    names = [split for split in _TEST_NAMES if split in splits]
    if not names:
        return Splits(train)
    test_name = names[0]
    if train.labels is not None and len(names) > 1:
        test_name = next((split for split in names if _has_labels(builder, split)), test_name)
    if test_name != names[0]:
        warnings.warn(
            f"tfds:{name}: the split {names[0]} has no labels. The test images are those of "
            f"{test_name}, which has.",
            stacklevel=4,
        )
    return Splits(train, load(test_name))


def _find_builder(name: str, tfds) -> tfds.core.DatasetBuilder:
    data_dir = os.environ.get("TFDS_DATA_DIR") or None
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        # TFDS lists only datasets it has code for; prepared ones may stand in the directory alone.
        known = set(tfds.list_builders(with_community_datasets=False))
        if data_dir and os.path.isdir(data_dir):
            known |= {child.name for child in pathlib.Path(data_dir).iterdir() if child.is_dir()}
        closest = difflib.get_close_matches(name, known, n=3) or ["none"]
        raise ValueError(
            f"tfds:{name}: received a name that TFDS does not know. Expected one of its "
            f"{len(known)} datasets, or one prepared in TFDS_DATA_DIR "
            f"({data_dir or 'not set'}). Closest: {', '.join(closest)}."
        ) from error


def _feature(builder: tfds.core.DatasetBuilder, key: str) -> tfds.features.FeatureConnector | None:
    features = builder.info.features
    # A dataset may have one bare feature instead of a dictionary of them.
    return features[key] if hasattr(features, "keys") and key in features else None


def _check_image(name: str, builder: tfds.core.DatasetBuilder) -> None:
    image = _feature(builder, "image")
    if image is None or image.shape is None or len(image.shape) != 3:
        features = builder.info.features
        listed = ", ".join(features.keys()) if hasattr(features, "keys") else str(features)
        raise ValueError(
            f"tfds:{name}: received a dataset with the features {listed}. Expected one named image "
            "of shape (height, width, channels). Choose another dataset; for other features, "
            "build the arrays yourself and pass them to image_batches."
        )
    if np.dtype(image.np_dtype) not in (np.uint8, np.uint16):
        raise ValueError(
            f"tfds:{name}: received images of type {np.dtype(image.np_dtype)}. Expected uint8 or "
            "uint16. Build a uint8 array yourself and pass it to image_batches."
        )


def _has_labels(builder: tfds.core.DatasetBuilder, split: str) -> bool:
    """Whether a split has a label, from 0 on; decodes no image."""
    import tensorflow_datasets as tfds

    dataset = builder.as_dataset(
        split=split,
        decoders=tfds.decode.PartialDecoding({"label": True}),
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    return any(example["label"] >= 0 for example in dataset.as_numpy_iterator())


def _load_split(builder: tfds.core.DatasetBuilder, split: str, fit: dict, source: str) -> ImageData:
    feature = _feature(builder, "label")
    has_label = (
        feature is not None and feature.shape == () and np.issubdtype(feature.np_dtype, np.integer)
    )
    stored = StoredValues()
    dataset = _examples(builder, split, {**fit, "stored": stored}, has_label)
    count = builder.info.splits[split].num_examples
    images = labels = None
    row = 0
    bar = progress_bar(range(count), f"{source} {split}", total=count)
    for batch in dataset.as_numpy_iterator():
        pixels = batch["image"]
        if images is None:
            shape = (count, *pixels.shape[1:])
            require_memory(shape, source=source)
            images, labels = np.empty(shape, np.uint8), np.empty(count, np.int64)
        if pixels.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"{source}: received images of different shapes, such as {images.shape[1:]} and "
                f"{pixels.shape[1:]}. Expected one shape. Pass image_size= (--image-size) and "
                "channels= (--channels), for example image_size=96, channels=3."
            )
        images[row : row + len(pixels)] = pixels
        labels[row : row + len(pixels)] = batch["label"]
        row += len(pixels)
        for _ in range(len(pixels)):
            next(bar, None)
    next(bar, None)
    if images is None:
        raise ValueError(
            f"{source}: received an empty split {split}. Expected images. Prepare the dataset anew."
        )
    labels = labels[:row]
    return ImageData(
        images=images[:row],
        labels=labels if has_label and (labels >= 0).any() else None,
        class_names=tuple(getattr(feature, "names", None) or ()) if has_label else (),
        source=source,
        stored_values=stored.ranges(),
    )


def _examples(
    builder: tfds.core.DatasetBuilder, split: str, fit: dict, has_label: bool
) -> tf.data.Dataset:
    """Batches `{"image": uint8 [b, h, w, c], "label": int64 [b]}` of fitted images, in order."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from cpc_keras.data.fit_image import fit_image

    wanted = {"image": True, "label": True} if has_label else {"image": True}
    dataset = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(wanted),
        # TFDS's cache would hold the images a second time, for one pass.
        read_config=tfds.ReadConfig(try_autocache=False),
    )
    shape = builder.info.features["image"].shape
    image_size, channels = fit["image_size"], fit["channels"]
    is_plain = builder.info.features["image"].np_dtype == np.uint8 and not fit["pixel_range"]

    def prepare(example: dict) -> dict:
        image, label = example["image"], example.get("label", -1)
        if image_size or channels not in (None, shape[-1]) or not is_plain:
            image = tf.numpy_function(functools.partial(fit_image, **fit), [image], tf.uint8)
            image.set_shape((*(image_size or shape[:2]), channels or shape[-1]))
        return {"image": image, "label": tf.cast(label, tf.int64)}

    dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    # Images that may differ in shape come one by one, so that the difference can be told.
    is_uniform = dataset.element_spec["image"].shape.is_fully_defined()
    return dataset.batch(256 if is_uniform else 1).prefetch(2)
