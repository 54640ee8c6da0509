"""What a report shows of a run's images, kept in one file so that it can be shown again."""

import os
import pathlib
import zipfile

import keras
import numpy as np

from cpc_keras.data import Splits
from cpc_keras.evaluation.extract_features import extract_features
from cpc_keras.evaluation.feature_map import feature_map
from cpc_keras.evaluation.nearest_images import nearest_images
from cpc_keras.evaluation.retrieve_patches import retrieve_patches
from cpc_keras.evaluation.thumbnails import thumbnails

FILE_NAME = "pictures.npz"

# Sizes keep a page within some megabytes.
NUM_QUERIES = 8
NUM_MAPPED = 300
NUM_RETRIEVAL_IMAGES = 64
LARGEST_NEIGHBOR = 64
LARGEST_MAPPED = 32
LARGEST_WITH_PATCHES = 96


def run_pictures(
    model: keras.Model, splits: Splits, *, predicted: np.ndarray | None = None, seed: int = 0
) -> dict[str, np.ndarray]:
    """Compute confusion matrix, nearest neighbors, map and patch retrieval of a model.

    Args:
        model: pre-training model with an `encoder`; of a `CPCModel` also what it retrieves.
        splits: labelled training and test images.
        predicted: classes of the test images by the row whose confusions are shown, integers
            `[number of test images]`; `None` for none.
        seed: of which images are shown.

    Returns:
        Arrays by name, for `save_pictures`; nothing in them needs the model or the data again.
    """
    train, test = splits
    encoder = model.encoder
    names = test.class_names or train.class_names
    # A class may have no image, or no name.
    num_classes = max(splits.num_classes, len(names))
    names = (*names, *map(str, range(len(names), num_classes)))
    pictures = {"class_names": np.array([str(name) for name in names])}
    if predicted is not None:
        matrix = np.zeros((num_classes, num_classes), "int64")
        np.add.at(matrix, (test.labels, np.asarray(predicted)), 1)
        pictures["confusion"] = matrix
    generator = np.random.default_rng(seed)
    # One query a class as far as they go, so that the page does not show chance alone.
    _, first = np.unique(test.labels, return_index=True)
    queries = first[:NUM_QUERIES]
    index, _ = nearest_images(
        extract_features(encoder, test.images[queries]), extract_features(encoder, train.images)
    )
    near = train.images[index.reshape(-1)]
    pictures |= {
        "query_images": thumbnails(test.images[queries], LARGEST_NEIGHBOR),
        "query_labels": test.labels[queries],
        "near_images": _as_rows(thumbnails(near, LARGEST_NEIGHBOR), len(queries)),
        "near_labels": train.labels[index],
    }
    if len(test) >= 4:
        mapped = np.sort(generator.permutation(len(test))[:NUM_MAPPED])
        images = test.images[mapped]
        pictures |= {
            "map_points": feature_map(extract_features(encoder, images), seed=seed),
            "map_images": thumbnails(images, LARGEST_MAPPED),
            "map_labels": test.labels[mapped],
        }
    if hasattr(model, "terms") and len(test) >= 2:
        asked = np.sort(generator.permutation(len(test))[:NUM_RETRIEVAL_IMAGES])
        pictures |= _retrieval(model, test.images[asked], seed)
    return pictures


def save_pictures(directory: str | os.PathLike, pictures: dict[str, np.ndarray]) -> pathlib.Path:
    """Write the pictures of a run into its directory; older ones are replaced, never torn.

    Args:
        directory: of the run, or of an evaluation; there already.
        pictures: arrays by name, as `run_pictures` returns them.

    Returns:
        Path of the file, `pictures.npz`.
    """
    path = pathlib.Path(directory) / FILE_NAME
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **pictures)
    partial.replace(path)
    return path


def load_pictures(directory: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the pictures of a run; an empty dict where it has none.

    Args:
        directory: where `save_pictures` wrote them.

    Returns:
        Arrays by name, as `run_pictures` returned them.

    Raises:
        ValueError: a file that `save_pictures` has not written, or that is damaged.
    """
    path = pathlib.Path(directory) / FILE_NAME
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Expected what cpc-keras evaluate writes; delete it "
            "and run cpc-keras evaluate again."
        ) from error


def _as_rows(images, rows):
    return images.reshape(rows, -1, *images.shape[1:])


def _retrieval(model, images, seed):
    found = retrieve_patches(model, images, seed=seed)
    size, stride = (model.get_config()[name] for name in ("patch_size", "patch_stride"))
    count = len(found.patches)
    patches = thumbnails(found.patches.reshape(-1, *found.patches.shape[2:]), LARGEST_NEIGHBOR)
    return {
        "patch_images": thumbnails(images[found.image], LARGEST_WITH_PATCHES),
        # In shares of the image's sides, since it may have been made smaller.
        "patch_side": np.array([size / images.shape[2], size / images.shape[1]]),
        "patch_step": np.array([stride / images.shape[2], stride / images.shape[1]]),
        "patch_context": found.context,
        "patch_target": found.target,
        "patch_direction": found.direction,
        "patch_offset": found.offset,
        "patch_rank": found.rank,
        "patch_true": thumbnails(found.true_patch, LARGEST_NEIGHBOR),
        "patch_found": _as_rows(patches, count),
        "patch_is_true": found.is_true,
        "patch_scores": np.array([found.num_candidates, found.top_1, found.top_5]),
    }
