"""Which patches a model thinks come next."""

import dataclasses

import keras
import numpy as np

from cpc_keras.ops import extract_patches, l2_normalize, rotate_grid


@dataclasses.dataclass(frozen=True)
class PatchRetrieval:
    """What a model of patches retrieves for what comes next.

    Attributes:
        num_candidates: patches among which each is looked for.
        top_1: share of all predictions whose true patch has the highest score; ties are wrong.
        top_5: share whose true patch is among the five highest.
        image: images of the chosen contexts, positions in the images given, `[k]`.
        context: row and column of the patch that each prediction is made from, `[k, 2]`.
        target: row and column of the true patch, `[k, 2]`.
        direction: where the predicted patch lies, `[k]`.
        offset: rows (columns) ahead, `[k]`.
        rank: place of the true patch by score, from 1, `[k]`.
        patches: the retrieved patches, highest score first, `[k, m, size, size, channels]`.
        true_patch: `[k, size, size, channels]`.
        is_true: whether the retrieved patch is the true one, `[k, m]`.
    """

    num_candidates: int
    top_1: float
    top_5: float
    image: np.ndarray
    context: np.ndarray
    target: np.ndarray
    direction: np.ndarray
    offset: np.ndarray
    rank: np.ndarray
    patches: np.ndarray
    true_patch: np.ndarray
    is_true: np.ndarray


def retrieve_patches(
    model: keras.Model,
    images: np.ndarray,
    *,
    num_contexts: int = 6,
    num_retrieved: int = 5,
    seed: int = 0,
) -> PatchRetrieval:
    """Look for the patch that a context predicts among the patches of all images.

    It makes the loss visible: the patches with the highest scores are those that the model thinks
    come next. A model that was trained to tell patches of the same position apart
    (`candidates="same_position"`) is asked that, any other one among all positions. Contexts are
    drawn at random, of different images, and never chosen for their success.

    Args:
        model: a `CPCModel`.
        images: images that were not trained on, uint8 `[n, height, width, channels]`, at least two.
            Their patches are the candidates.
        num_contexts: how many contexts to show, at most n.
        num_retrieved: how many patches to show of each.
        seed: of which contexts are shown.

    Returns:
        A `PatchRetrieval`; its shares are over all predictions of all images.

    Example:
        >>> images = np.random.randint(0, 256, (4, 16, 16, 1), "uint8")
        >>> model = CPCModel((16, 16, 1), patch_encoder="mlp", offsets=(2,))
        >>> retrieve_patches(model, images, num_contexts=2).patches.shape
        (2, 5, 8, 8, 1)
    """
    config = model.get_config()
    size, stride = config["patch_size"], config["patch_stride"]
    outputs = model.network(np.asarray(images, "float32"), training=False)
    outputs = {name: keras.ops.convert_to_numpy(x) for name, x in outputs.items()}
    cosine = model.info_nce.similarity == "cosine"

    def vectors(x):
        x = x.reshape(-1, x.shape[-1]).astype("float32")
        return keras.ops.convert_to_numpy(l2_normalize(x)) if cosine else x

    candidates = vectors(outputs["targets"])
    rows, columns = outputs["targets"].shape[1:3]
    number = np.arange(len(candidates)).reshape(len(images), rows, columns)
    found, ranks = [], []
    # Candidates differ by a multiple of this from the true patch.
    step = rows * columns if model.info_nce.candidates == "same_position" else 1
    for term in model.terms:
        direction, offset = term.rsplit("_", 1)
        # The number of the patch that is in each place as the grid turns.
        turned = np.asarray(keras.ops.convert_to_numpy(rotate_grid(number, direction)))
        predictions = outputs[term]
        context = turned[:, : predictions.shape[1]].reshape(-1)
        target = turned[:, int(offset) :].reshape(-1)
        ranks.append(_ranks(vectors(predictions), candidates, target, step))
        found.append((direction, int(offset), vectors(predictions), context, target))
    everything = np.concatenate(ranks)
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(images))[:num_contexts]
    all_patches = keras.ops.convert_to_numpy(
        extract_patches(images, patch_size=size, patch_stride=stride)
    )
    all_patches = all_patches.reshape(-1, size, size, images.shape[-1])
    shown = []
    for turn, image in enumerate(chosen):
        # Terms in turn, so that each direction and offset has its share.
        term = turn * 5 % len(found) if len(found) % 5 else turn % len(found)
        direction, offset, predictions, context, target = found[term]
        place = generator.choice(np.flatnonzero(context // (rows * columns) == image))
        asked = np.arange(target[place] % step, len(candidates), step)
        scores = candidates[asked] @ predictions[place]
        best = asked[np.argsort(-scores, kind="stable")[:num_retrieved]]
        shown.append(
            {
                "image": image,
                "context": np.divmod(context[place] % (rows * columns), columns),
                "target": np.divmod(target[place] % (rows * columns), columns),
                "direction": direction,
                "offset": offset,
                "rank": ranks[term][place],
                "patches": all_patches[best],
                "true_patch": all_patches[target[place]],
                "is_true": best == target[place],
            }
        )
    return PatchRetrieval(
        num_candidates=len(candidates) // step,
        top_1=float((everything == 1).mean()),
        top_5=float((everything <= 5).mean()),
        **{name: np.stack([np.asarray(x[name]) for x in shown]) for name in shown[0]},
    )


def _ranks(predictions, candidates, target, step, at_once=512):
    """Place of each true patch by score; of equal scores, the true one comes last."""
    ranks, places = [], np.arange(len(candidates)) % step
    for start in range(0, len(predictions), at_once):
        scores = predictions[start : start + at_once] @ candidates.T
        true = target[start : start + at_once]
        own = np.take_along_axis(scores, true[:, None], axis=1)
        is_candidate = places[None] == true[:, None] % step
        ranks.append((is_candidate & (scores >= own)).sum(axis=1))  # itself included
    return np.concatenate(ranks)
