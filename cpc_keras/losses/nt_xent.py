"""NT-Xent, SimCLR's loss between two views of images."""

import keras
from keras import ops

from cpc_keras.ops.gather_replicas import gather_replicas
from cpc_keras.ops.info_nce import Contrast, info_nce
from cpc_keras.ops.l2_normalize import l2_normalize


@keras.saving.register_keras_serializable("cpc_keras")
class NTXent(keras.losses.Loss):
    """Tells each view's partner from all other views of the batch (NT-Xent).

    Of the 2 N views of N images, `loss_ij = -log(exp(s_ij) / sum_{k != i} exp(s_ik))` for the
    partner j of i, with `s_ij = cos(z_i, z_j) / temperature` (Chen et al. 2020, arXiv:2002.05709,
    equation 1): both ways, and against the 2 (N - 1) views of other images. With codes that say
    nothing the loss is ln(2 N - 1).

    It is `InfoNCE(similarity="cosine")` of pairs, asked both ways and with the views of the same
    half as further candidates. In a replica of a `tf.distribute` strategy the batch is that of all
    replicas.

    Args:
        temperature: divisor of the cosines, greater than 0. The paper: 0.1 for ImageNet (section
            5.1), 0.5 for CIFAR-10 (appendix B.9).
        gather_candidates: whether candidates come from all replicas; see `InfoNCE`.
        name: name of the loss.

    Call arguments:
        y_true, y_pred: codes of the two views of each image, `[batch, dim]` each.

    Returns:
        Scalar, the mean over all views, in nats.

    Raises:
        ValueError: a temperature that is not positive, codes of unlike or other shapes, a batch of
            one image.

    Example:
        >>> first = np.eye(4, 8, dtype="float32")
        >>> float(NTXent(0.1)(first, first)) < 0.01 < float(NTXent(0.1)(first, first[::-1]))
        True
    """

    def __init__(
        self, temperature: float = 0.1, *, gather_candidates: bool = True, name: str = "nt_xent"
    ):
        super().__init__(name=name, reduction="mean")
        if not temperature > 0:
            raise ValueError(f"temperature must be greater than 0. Received: {temperature!r}.")
        self.temperature = temperature
        self.gather_candidates = bool(gather_candidates)

    def call(self, y_true, y_pred):
        """Return the loss of every view, `[2 * batch]`."""
        return self.contrast(y_true, y_pred).loss

    def num_candidates(self, batch: int) -> int:
        """Return N, how many views a view's partner is told from, the partner included.

        Args:
            batch: number of images, of all replicas unless `gather_candidates=False`.

        Example:
            >>> NTXent().num_candidates(256)
            511
        """
        return 2 * batch - 1

    def contrast(self, first, second) -> Contrast:
        """Return loss, hit and ln N of every view, those of the first half before the others."""
        if len(first.shape) != 2 or first.shape[1:] != second.shape[1:]:
            raise ValueError(
                "NTXent takes the codes of two views, [batch, dim] each. Received: "
                f"{tuple(first.shape)} and {tuple(second.shape)}."
            )
        # In float32 under mixed precision too: bfloat16 products differ by 1 in 256.
        halves = [l2_normalize(ops.cast(x, "float32")) for x in (first, second)]
        gathered = [gather_replicas(x) if self.gather_candidates else (x, 0) for x in halves]
        batch, num_images = ops.shape(halves[0])[0], ops.shape(gathered[0][0])[0]
        if gathered[0][0].shape[0] == 1:
            raise ValueError(
                "A batch of 1 image leaves one candidate, and there is nothing to tell it from. "
                "Use a larger batch."
            )
        views = ops.concatenate(halves)
        candidates = ops.concatenate([everything for everything, _ in gathered])
        image = gathered[0][1] + ops.arange(batch)
        own = ops.concatenate([image, image + num_images])
        partner = ops.concatenate([image + num_images, image])
        logits = ops.matmul(views, ops.transpose(candidates)) / self.temperature
        itself = ops.equal(ops.arange(2 * num_images)[None], own[:, None])
        # Equal codes may differ by rounding, and a tie is wrong; see `InfoNCE`.
        return info_nce(logits, partner, excluded=itself, rounding=1e-6 / self.temperature)

    def get_config(self):
        """Return the constructor's arguments."""
        config = super().get_config()
        config.pop("reduction")
        config.pop("dtype", None)
        return {
            **config,
            "temperature": self.temperature,
            "gather_candidates": self.gather_candidates,
        }
