"""InfoNCE between a grid of predictions and a grid of targets."""

from typing import NamedTuple

import keras
from keras import ops

from cpc_keras.ops.gather_replicas import gather_replicas
from cpc_keras.ops.info_nce import Contrast, info_nce
from cpc_keras.ops.l2_normalize import l2_normalize
from cpc_keras.ops.num_replicas import num_replicas
from cpc_keras.ops.rotate_grid import rotate_grid
from cpc_keras.ops.streamed_info_nce import streamed_info_nce
from cpc_keras.ops.take_rows import take_rows

CANDIDATES = ("all", "other_images", "same_position", "same_row", "sampled")
# Where a group of targets is told apart within itself; the other kinds draw on the whole batch.
GROUPED = ("same_position", "same_row")
# Where every prediction of every direction and offset is scored against the same targets.
STREAMED = ("all", "other_images")
SIMILARITIES = ("dot", "cosine")
# CPC v2's factor; SimCLR's temperature of 0.1 (arXiv:2002.05709, section 5.1).
DEFAULT_SCALES = {"dot": 0.1, "cosine": 10.0}


@keras.saving.register_keras_serializable("cpc_keras")
class InfoNCE(keras.losses.Loss):
    """Tells each prediction's true target from other targets of the batch.

    `loss = -log(exp(s_positive) / sum_candidates exp(s))` (van den Oord et al. 2018,
    arXiv:1807.03748, equation 4). With codes that say nothing the loss is ln N, N being the number
    of candidates. Scores s of the literature:

    | form | s | how |
    |---|---|---|
    | projected, CPC v2 | `0.1 * <W_k c, V z>` | `InfoNCE()` on projected codes as targets |
    | bilinear, CPC v1 | `<W_k c, z>` | `InfoNCE(1.0)` on the codes themselves as targets |
    | cosine, SimCLR | `cos(prediction, target) / temperature` | `similarity="cosine"` |

    W_k is `OffsetPrediction`'s map, z a code, c a context, V a linear map (Henaff et al. 2019,
    arXiv:1905.09272, to 64 dimensions; van den Oord et al., equation 3; Chen et al. 2020,
    arXiv:2002.05709, equation 1).

    Predictions that lie in row r of `h` rows belong to the targets in row `r + H - h` of `H` rows:
    dropping the last k rows of the predictions makes it the loss of offset k.

    What counts as a candidate, and N for `B` images with `H x W` targets (`num_candidates`):

    | `candidates` | scored against | N |
    |---|---|---|
    | `"all"` | every target of the batch | `B * H * W` |
    | `"other_images"` | the positive, and every target of other images | `(B - 1) * H * W + 1` |
    | `"same_position"` | that grid position in all images | `B` |
    | `"same_row"` | that grid row in all images | `B * W` |
    | `"sampled"` | the positive, and `num_negatives` targets of the batch | `num_negatives + 1` |

    Sampled targets are drawn without replacement, anew each step, and shared by all predictions of
    a direction and offset; one that is a prediction's own positive is left out for it (N is then
    one less). N never exceeds `B * H * W`.

    In a replica of a `tf.distribute` strategy the batch is that of all replicas: their targets are
    gathered, and N does not depend on how the batch is cut. Predictions are scored where they are.

    `ln N - loss` is a lower bound of the mutual information only where the candidates are
    independent draws and the images were held out; elsewhere it is a useful meter.

    Args:
        scale: factor on the similarities, the inverse of a temperature. Default: 0.1 with
            `similarity="dot"`, 10 with "cosine", whose values are 1 at most.
        similarity: "dot", inner products, or "cosine", inner products of directions: lengths do not
            count, and the scores lie between -scale and scale.
        temperature: `1 / scale`, greater than 0, in place of `scale`.
        candidates: one of the names above.
        num_negatives: how many negatives to draw, for `candidates="sampled"` alone.
        num_anchors: how many predictions to score, drawn uniformly without replacement, anew each
            step; the expected loss is that of all. Default, and where there are fewer: all. It
            saves scores (64 images, 7 x 7 grid, 256 of 2,240, one thread: "all" 10 ms in place of
            124, "sampled" 6 of 18, "same_row" 10 of 16), save for "same_position", whose groups
            are as quick to score whole (8 in place of 6). Each replica draws its share of them,
            rounded up.
        gather_candidates: whether candidates come from all replicas. With `False` each tells its
            own targets apart and N is that of its part of the batch: the task is easier and the
            bound of the mutual information lower, but nothing is sent between devices for it. With
            `True` that is `batch * H * W * dim` numbers a step, and as many gradients.
        seed: integer or `keras.random.SeedGenerator` for the draws.
        name: name of the loss.

    Call arguments:
        y_true: targets, `[batch, H, W, dim]`, or `[batch, dim]` for pairs.
        y_pred: predictions, `[batch, h, W, dim]` with `1 <= h <= H`, or `[batch, dim]`.

    Returns:
        Scalar, the mean over all predictions, in nats.

    Raises:
        ValueError: unknown `candidates` or `similarity`, both `scale` and `temperature`, shapes
            that do not fit, nothing to score, or a single candidate.

    Example:
        >>> targets = np.random.normal(size=(8, 7, 7, 64))
        >>> float(InfoNCE()(targets, targets[:, 2:])) > 0
        True
        >>> loss = InfoNCE(similarity="cosine", temperature=0.2, num_anchors=100)
        >>> float(loss(targets, targets[:, 2:])) < float(np.log(loss.num_candidates(8, 7, 7)))
        True
    """

    def __init__(
        self,
        scale: float | None = None,
        *,
        similarity: str = "dot",
        temperature: float | None = None,
        candidates: str = "all",
        num_negatives: int | None = None,
        num_anchors: int | None = None,
        gather_candidates: bool = True,
        seed=None,
        name: str = "info_nce",
    ):
        super().__init__(name=name, reduction="mean")
        if candidates not in CANDIDATES:
            raise ValueError(f"candidates must be one of {CANDIDATES}. Received: {candidates!r}.")
        if (candidates == "sampled") != (num_negatives is not None):
            raise ValueError(
                'num_negatives goes with candidates="sampled" and with nothing else. Received: '
                f"candidates={candidates!r}, num_negatives={num_negatives!r}."
            )
        if num_negatives is not None and num_negatives < 1:
            raise ValueError(f"num_negatives must be at least 1. Received: {num_negatives}.")
        if num_anchors is not None and num_anchors < 1:
            raise ValueError(f"num_anchors must be at least 1, or None. Received: {num_anchors}.")
        self.scale = _checked_scale(scale, similarity, temperature)
        self.similarity = similarity
        self.temperature = temperature
        self.candidates = candidates
        self.num_negatives = num_negatives
        self.num_anchors = num_anchors
        self.gather_candidates = bool(gather_candidates)
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed = seed.get_config()["seed"] if is_generator else seed
        self.seed_generator = None
        if candidates == "sampled" or num_anchors is not None:
            self.seed_generator = seed if is_generator else keras.random.SeedGenerator(seed)

    def call(self, y_true, y_pred):
        """Return the loss of every scored prediction in no particular order, `[batch * h * W]`."""
        return ops.reshape(self.contrast(y_true, y_pred).loss, (-1,))

    def num_candidates(self, batch: int, rows: int, columns: int, offset: int = 0) -> int:
        """Return N, how many candidates a prediction is told from, the true one included.

        The formulas stand in the table above. Rows and columns change places for "left" and
        "right". With `candidates="sampled"` it is N of a prediction whose own positive was not
        drawn (where all are drawn: of all), and one more than N of the others.

        Args:
            batch: number of images, of all replicas unless `gather_candidates=False`.
            rows: H, rows of targets, in the frame in which predictions point down.
            columns: W, columns of targets in that frame.
            offset: rows ahead, below `rows`. N is the same for all of them, since the targets of
                the first rows stay candidates though no prediction belongs to them.

        Raises:
            ValueError: nothing to score: an empty batch or grid, or an offset that leaves no row.

        Example:
            >>> InfoNCE(candidates="same_row").num_candidates(32, 7, 5, offset=2)
            160
        """
        if min(batch, rows, columns) < 1 or not 0 <= offset < rows:
            raise ValueError(
                "InfoNCE: nothing to score. Expected at least one image, row and column and an "
                f"offset of 0 to rows - 1. Received: batch={batch}, rows={rows}, "
                f"columns={columns}, offset={offset}."
            )
        everything = batch * rows * columns
        return {
            "all": everything,
            "other_images": (batch - 1) * rows * columns + 1,
            "same_position": batch,
            "same_row": batch * columns,
            "sampled": min((self.num_negatives or 0) + 1, everything),
        }[self.candidates]

    def contrast(self, targets, predictions) -> Contrast:
        """Return loss, hit and ln N of every prediction that is scored; shapes as in the call.

        The order of the predictions in the result depends on `candidates`.
        """
        if len(targets.shape) == 2 and len(predictions.shape) == 2:
            targets, predictions = targets[:, None, None], predictions[:, None, None]
        if len(targets.shape) != 4 or len(predictions.shape) != 4:
            raise ValueError(
                "InfoNCE takes targets [batch, H, W, dim] and predictions [batch, h, W, dim], or "
                f"[batch, dim] for both. Received: {targets.shape} and {predictions.shape}."
            )
        return self._contrast(self._gather(targets), predictions)

    def _gather(self, targets):
        gathered = gather_replicas(targets) if self.gather_candidates else (targets, 0)
        return _Targets(targets, *gathered)

    def _contrast(self, targets, predictions):
        offset = self._check(targets.all.shape, predictions.shape)
        own, everything = self._prepared(targets.own), self._prepared(targets.all)
        predictions = self._prepared(predictions)
        score = getattr(self, f"_{self.candidates}")
        positives = take_rows(own, offset, own.shape[1])
        if self.candidates in GROUPED and self.num_anchors is None:
            candidates = take_rows(everything, offset, own.shape[1])
            return score(predictions, positives, candidates, targets.first)
        index = _positions(own, predictions, targets.first)
        predictions, positives = _flat(predictions), _flat(positives)
        if self.num_anchors is not None:
            anchors = self._draw_anchors(ops.shape(index)[0])
            index, predictions, positives = (
                ops.take(x, anchors, axis=0) for x in (index, predictions, positives)
            )
            if self.candidates in GROUPED:
                score = self._anchors_of_groups
        return score(everything, predictions, positives, index)

    def _check(self, targets, predictions):
        """The offset of predictions of a shape to targets of a shape."""
        batch, rows, columns, dim = targets
        offset = rows - predictions[1]
        if offset < 0 or (columns, dim) != tuple(predictions[2:]):
            raise ValueError(
                f"Predictions of shape {predictions} do not fit targets of shape {targets}: "
                "expected as many columns and dimensions, and at most as many rows."
            )
        # An unknown batch size is taken as large enough.
        if self.num_candidates(2 if batch is None else batch, rows, columns, offset) < 2:
            raise ValueError(
                f'With candidates="{self.candidates}" a batch of 1 image leaves one candidate, '
                "and there is nothing to tell it from. Use a larger batch."
            )
        return offset

    def _prepared(self, vectors):
        # Scores in float32 under mixed precision too: bfloat16 products differ by 1 in 256.
        vectors = ops.cast(vectors, "float32")
        return l2_normalize(vectors) if self.similarity == "cosine" else vectors

    def contrast_grid(self, targets, predictions, *, with_gradient: bool = True):
        """Score the predictions of all directions and offsets of a grid at once.

        What `contrast` gives of each, averaged. With the candidates "all" and "other_images", which
        all terms share, and "sampled", of which each term draws its own, the scores are streamed
        (`ops.streamed_info_nce`): their matrices, the largest of CPC, are never there as a whole.

        Args:
            targets: `[batch, H, W, dim]`, not rotated.
            predictions: dict from `(direction, offset)` to predictions, each rotated so that its
                direction points down (`ops.rotate_grid`).
            with_gradient: whether the loss will be differentiated.

        Returns:
            The mean over all terms of the mean loss of each, a scalar to differentiate, and a dict
            from `(direction, offset)` to the `Contrast` of its predictions, which is not.
        """
        targets = self._gather(targets)
        if self.candidates in STREAMED:
            return self._stream(targets, predictions, with_gradient)
        if self.candidates == "sampled":
            losses, found = [], {}
            for key, x in predictions.items():
                loss, term = self._stream(targets, {key: x}, with_gradient)
                losses.append(loss)
                found |= term
            return sum(losses) / len(losses), found
        turned = {
            direction: _Targets(
                rotate_grid(targets.own, direction),
                rotate_grid(targets.all, direction),
                targets.first,
            )
            for direction, _ in predictions
        }
        found = {key: self._contrast(turned[key[0]], x) for key, x in predictions.items()}
        return sum(ops.mean(term.loss) for term in found.values()) / len(found), found

    def _stream(self, targets, predictions, with_gradient):
        batch, rows, columns = ops.shape(targets.own)[0], *targets.own.shape[1:3]
        # Which target is where as the grid turns; `group` targets of each image.
        group = rows * columns
        places = ops.reshape(ops.arange(group), (1, rows, columns))
        images = group * (targets.first + ops.arange(batch)[:, None])
        vectors, positives, sizes = [], [], []
        for (direction, _), x in predictions.items():
            place = rotate_grid(places, direction)
            shape = (targets.all.shape[0], *place.shape[1:], targets.all.shape[3])
            offset = self._check(shape, x.shape)
            own = ops.reshape(images + ops.reshape(place[:, offset:], (1, -1)), (-1,))
            x = _flat(self._prepared(x))
            if self.num_anchors is not None:
                anchors = self._draw_anchors(ops.shape(own)[0])
                own, x = ops.take(own, anchors), ops.take(x, anchors, axis=0)
            vectors.append(x)
            positives.append(own)
            sizes.append(ops.shape(own)[0])
        everything = _flat(self._prepared(targets.all))
        sample = None
        if self.candidates == "sampled":
            sample = self._draw(self.num_negatives, ops.shape(everything)[0])
        loss, found = streamed_info_nce(
            ops.concatenate(vectors),
            everything,
            ops.concatenate(positives),
            # Every term weighs as much, however many predictions it has.
            ops.concatenate([ops.ones((n,)) / ops.cast(n * len(sizes), "float32") for n in sizes]),
            scale=self.scale,
            group_size=group if self.candidates == "other_images" else None,
            sample=sample,
            with_gradient=with_gradient,
        )
        terms, start = {}, 0
        for key, size in zip(predictions, sizes, strict=True):
            terms[key] = Contrast(*(x[start : start + size] for x in found))
            start += size
        return loss, terms

    def _same_position(self, predictions, positives, candidates, first):
        predictions, positives, candidates = (
            ops.transpose(x, (1, 2, 0, 3)) for x in (predictions, positives, candidates)
        )
        return self._in_groups(predictions, positives, candidates, first, "hwpd,hwcd->hwpc")

    def _same_row(self, predictions, positives, candidates, first):
        columns, dim = predictions.shape[2:]
        predictions, positives, candidates = (
            ops.reshape(ops.transpose(x, (1, 0, 2, 3)), (x.shape[1], -1, dim))
            for x in (predictions, positives, candidates)
        )
        return self._in_groups(predictions, positives, candidates, first * columns, "hpd,hcd->hpc")

    def _in_groups(self, predictions, positives, candidates, first, equation):
        # Predictions and candidates of one group belong together in order.
        logits = self.scale * ops.einsum(equation, predictions, candidates)
        own = first + ops.arange(ops.shape(logits)[-2])
        return info_nce(logits, own, rounding=self._rounding(predictions, positives))

    def _anchors_of_groups(self, targets, predictions, positives, index):
        # Scores are gathered, not targets: dim times less to move.
        _, rows, columns, _ = targets.shape
        width = columns if self.candidates == "same_row" else 1
        place = index % (rows * columns)
        image = ops.arange(ops.shape(targets)[0])[:, None] * (rows * columns)
        members = ops.reshape(image + ops.arange(width)[None], (1, -1))
        logits = self.scale * ops.matmul(predictions, ops.transpose(_flat(targets)))
        logits = ops.take_along_axis(logits, members + (place - place % width)[:, None], axis=1)
        own = index // (rows * columns) * width + place % width
        return info_nce(logits, own, rounding=self._rounding(predictions, positives))

    def _all(self, targets, predictions, positives, index):
        logits = self.scale * ops.matmul(predictions, ops.transpose(_flat(targets)))
        return info_nce(logits, index, rounding=self._rounding(predictions, positives))

    def _other_images(self, targets, predictions, positives, index):
        per_image = targets.shape[1] * targets.shape[2]
        candidate = ops.arange(ops.shape(targets)[0] * per_image)[None]
        same_image = ops.equal(candidate // per_image, index[:, None] // per_image)
        logits = self.scale * ops.matmul(predictions, ops.transpose(_flat(targets)))
        excluded = ops.logical_and(same_image, ops.not_equal(candidate, index[:, None]))
        rounding = self._rounding(predictions, positives)
        return info_nce(logits, index, excluded=excluded, rounding=rounding)

    def _sampled(self, targets, predictions, positives, index):
        num_targets = ops.shape(targets)[0] * targets.shape[1] * targets.shape[2]
        drawn = self._draw(self.num_negatives, num_targets)
        negatives = ops.take(_flat(targets), drawn, axis=0)
        positive_scores = ops.sum(predictions * positives, axis=-1, keepdims=True)
        scores = ops.matmul(predictions, ops.transpose(negatives))
        own = ops.equal(index[:, None], drawn[None])
        return info_nce(
            self.scale * ops.concatenate([positive_scores, scores], axis=-1),
            0,
            excluded=ops.concatenate([ops.zeros_like(own[:, :1]), own], axis=-1),
            rounding=self._rounding(predictions, positives),
        )

    def _draw_anchors(self, total):
        return self._draw(-(-self.num_anchors // num_replicas()), total)

    def _draw(self, count, total):
        """`count` of the numbers below `total`, or all of them, none twice."""
        return keras.random.shuffle(ops.arange(total), seed=self.seed_generator)[:count]

    def _rounding(self, predictions, positives):
        # Products of equal vectors differ by rounding (the positive may be a sum of its own, or lie
        # at the edge of a block): without this, collapsed codes would win by chance.
        size = ops.norm(predictions, axis=-1) * ops.norm(positives, axis=-1)
        return 1e-6 * abs(self.scale) * size

    def get_config(self):
        """Return the constructor's arguments."""
        config = super().get_config()
        config.pop("reduction")
        config.pop("dtype", None)
        return {
            **config,
            "scale": self.scale if self.temperature is None else None,
            "similarity": self.similarity,
            "temperature": self.temperature,
            "candidates": self.candidates,
            "num_negatives": self.num_negatives,
            "num_anchors": self.num_anchors,
            "gather_candidates": self.gather_candidates,
            "seed": self.seed,
        }


def _checked_scale(scale, similarity, temperature):
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity must be one of {SIMILARITIES}. Received: {similarity!r}.")
    if temperature is None:
        return DEFAULT_SCALES[similarity] if scale is None else scale
    if scale is not None or not temperature > 0:
        raise ValueError(
            "temperature must be greater than 0 and takes the place of scale, which is its "
            f"inverse. Received: temperature={temperature!r}, scale={scale!r}."
        )
    return 1.0 / temperature


def _flat(grid):
    return ops.reshape(grid, (-1, grid.shape[-1]))


class _Targets(NamedTuple):
    """Targets `[batch, H, W, dim]` of this replica and of all, and where its own begin there."""

    own: object
    all: object
    first: object


def _positions(targets, predictions, first_image):
    """Index of each prediction's target among all targets of the batch, `[batch * h * W]`."""
    _, rows, columns, _ = targets.shape
    first = (rows - predictions.shape[1]) * columns
    image = (first_image + ops.arange(ops.shape(targets)[0])[:, None]) * (rows * columns)
    return ops.reshape(image + ops.arange(first, rows * columns)[None], (-1,))
