"""InfoNCE between a grid of predictions and a grid of targets."""

import keras
from keras import ops

from cpc_keras.ops.info_nce import Contrast, info_nce
from cpc_keras.ops.take_rows import take_rows

CANDIDATES = ("all", "other_images", "same_position", "same_row", "sampled")


@keras.saving.register_keras_serializable("cpc_keras")
class InfoNCE(keras.losses.Loss):
    """Tells each prediction's true target from other targets of the batch.

    `loss = -log(exp(s_positive) / sum_candidates exp(s))` with `s = scale * <prediction, target>`
    (van den Oord et al. 2018, arXiv:1807.03748, equation 4; scale 0.1 and inner products of
    projected codes as in CPC v2, Henaff et al. 2019, arXiv:1905.09272). With codes that say nothing
    the loss is ln N, N being the number of candidates.

    Predictions that lie in row r of `h` rows belong to the targets in row `r + H - h` of `H` rows:
    dropping the last k rows of the predictions makes it the loss of offset k.

    What counts as a candidate, and N for `B` images with `H x W` targets:

    | `candidates` | scored against | N |
    |---|---|---|
    | `"all"` | every target of the batch | `B * H * W` |
    | `"other_images"` | the positive, and every target of other images | `(B - 1) * H * W + 1` |
    | `"same_position"` | that grid position in all images | `B` |
    | `"same_row"` | that grid row in all images | `B * W` |
    | `"sampled"` | the positive, and `num_negatives` targets of the batch | `num_negatives + 1` |

    Sampled targets are drawn without replacement, anew each step, and shared by all predictions;
    one that is a prediction's own positive is left out for it (N is then one less).

    `ln N - loss` is a lower bound of the mutual information only where the candidates are
    independent draws and the images were held out; elsewhere it is a useful meter.

    Args:
        scale: factor on the inner products, the inverse of a temperature.
        candidates: one of the names above.
        num_negatives: how many negatives to draw, for `candidates="sampled"` alone.
        seed: integer or `keras.random.SeedGenerator` for the draw.
        name: name of the loss.

    Call arguments:
        y_true: targets, `[batch, H, W, dim]`, or `[batch, dim]` for pairs.
        y_pred: predictions, `[batch, h, W, dim]` with `h <= H`, or `[batch, dim]`.

    Returns:
        Scalar, the mean over all predictions, in nats.

    Raises:
        ValueError: unknown `candidates`, shapes that do not fit, or a single candidate.

    Example:
        >>> targets = np.random.normal(size=(8, 7, 7, 64))
        >>> float(InfoNCE()(targets, targets[:, 2:])) > 0
        True
    """

    def __init__(
        self,
        scale: float = 0.1,
        *,
        candidates: str = "all",
        num_negatives: int | None = None,
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
        self.scale = scale
        self.candidates = candidates
        self.num_negatives = num_negatives
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed = seed.get_config()["seed"] if is_generator else seed
        self.seed_generator = None
        if candidates == "sampled":
            self.seed_generator = seed if is_generator else keras.random.SeedGenerator(seed)

    def call(self, y_true, y_pred):
        """Return the loss of every prediction, `[batch * h * W]`, in no particular order."""
        return ops.reshape(self.contrast(y_true, y_pred).loss, (-1,))

    def contrast(self, targets, predictions) -> Contrast:
        """Return loss, hit and ln N of every prediction; shapes as in the call.

        The order of the predictions in the result depends on `candidates`.
        """
        if len(targets.shape) == 2 and len(predictions.shape) == 2:
            targets, predictions = targets[:, None, None], predictions[:, None, None]
        if len(targets.shape) != 4 or len(predictions.shape) != 4:
            raise ValueError(
                "InfoNCE takes targets [batch, H, W, dim] and predictions [batch, h, W, dim], or "
                f"[batch, dim] for both. Received: {targets.shape} and {predictions.shape}."
            )
        _, rows, columns, dim = targets.shape
        offset = rows - predictions.shape[1]
        if offset < 0 or columns != predictions.shape[2] or dim != predictions.shape[3]:
            raise ValueError(
                f"Predictions of shape {predictions.shape} do not fit targets of shape "
                f"{targets.shape}: expected as many columns and dimensions, and at most as many "
                "rows."
            )
        per_image = {"same_position": 1, "same_row": columns}.get(self.candidates, rows * columns)
        alone = per_image == 1 or self.candidates == "other_images"
        if targets.shape[0] == 1 and alone:
            raise ValueError(
                f'With candidates="{self.candidates}" a batch of 1 image leaves one candidate, '
                "and there is nothing to tell it from. Use a larger batch."
            )
        # Scores in float32 under mixed precision too: bfloat16 products differ by 1 in 256.
        targets, predictions = (ops.cast(x, "float32") for x in (targets, predictions))
        score = getattr(self, f"_{self.candidates}")
        return score(targets, predictions, take_rows(targets, offset, rows))

    def _same_position(self, targets, predictions, positives):
        predictions, positives = (ops.transpose(x, (1, 2, 0, 3)) for x in (predictions, positives))
        return self._one_to_one(predictions, positives, "hwpd,hwcd->hwpc")

    def _same_row(self, targets, predictions, positives):
        batch, _, columns, dim = ops.shape(predictions)
        predictions, positives = (
            ops.reshape(ops.transpose(x, (1, 0, 2, 3)), (-1, batch * columns, dim))
            for x in (predictions, positives)
        )
        return self._one_to_one(predictions, positives, "hpd,hcd->hpc")

    def _one_to_one(self, predictions, positives, equation):
        # Predictions and candidates of one group belong together in order: the diagonal is true.
        logits = self.scale * ops.einsum(equation, predictions, positives)
        rounding = self._rounding(predictions, positives)
        return info_nce(logits, ops.arange(ops.shape(logits)[-1]), rounding=rounding)

    def _all(self, targets, predictions, positives):
        logits = self.scale * ops.matmul(_flat(predictions), ops.transpose(_flat(targets)))
        rounding = self._rounding(_flat(predictions), _flat(positives))
        return info_nce(logits, _positions(targets, predictions), rounding=rounding)

    def _other_images(self, targets, predictions, positives):
        index = _positions(targets, predictions)
        per_image = targets.shape[1] * targets.shape[2]
        candidate = ops.arange(ops.shape(targets)[0] * per_image)[None]
        same_image = ops.equal(candidate // per_image, index[:, None] // per_image)
        logits = self.scale * ops.matmul(_flat(predictions), ops.transpose(_flat(targets)))
        excluded = ops.logical_and(same_image, ops.not_equal(candidate, index[:, None]))
        rounding = self._rounding(_flat(predictions), _flat(positives))
        return info_nce(logits, index, excluded=excluded, rounding=rounding)

    def _sampled(self, targets, predictions, positives):
        index = _positions(targets, predictions)
        num_targets = ops.shape(targets)[0] * targets.shape[1] * targets.shape[2]
        drawn = keras.random.shuffle(ops.arange(num_targets), seed=self.seed_generator)
        drawn = drawn[: self.num_negatives]
        predictions = _flat(predictions)
        negatives = ops.take(_flat(targets), drawn, axis=0)
        positive_scores = ops.sum(predictions * _flat(positives), axis=-1, keepdims=True)
        scores = ops.matmul(predictions, ops.transpose(negatives))
        own = ops.equal(index[:, None], drawn[None])
        return info_nce(
            self.scale * ops.concatenate([positive_scores, scores], axis=-1),
            0,
            excluded=ops.concatenate([ops.zeros_like(own[:, :1]), own], axis=-1),
            rounding=self._rounding(predictions, _flat(positives)),
        )

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
            "scale": self.scale,
            "candidates": self.candidates,
            "num_negatives": self.num_negatives,
            "seed": self.seed,
        }


def _flat(grid):
    return ops.reshape(grid, (-1, grid.shape[-1]))


def _positions(targets, predictions):
    """Index of each prediction's target among all targets of the batch, `[batch * h * W]`."""
    _, rows, columns, _ = targets.shape
    first = (rows - predictions.shape[1]) * columns
    image = ops.arange(ops.shape(targets)[0])[:, None] * (rows * columns)
    return ops.reshape(image + ops.arange(first, rows * columns)[None], (-1,))
