"""Whether features still differ from image to image, while training."""

import numpy as np

from cpc_keras.training.held_out_probe import HeldOutProbe

# Shares of what features that spread evenly would have. Untrained networks have been seen at a
# twentieth; collapsed ones lie orders of magnitude below.
LEAST_DEVIATION = 0.01
LEAST_RANK = 1.1


class CollapseMonitor(HeldOutProbe):
    r"""Logs `feature_deviation` and `effective_rank`, and says so when features collapse.

    Some objectives can be met by features that are the same for every image, or that vary in one
    direction only; the loss alone does not tell.

    - `feature_deviation`: features are scaled to length 1; it is the standard deviation of each
      component over images, averaged over components. 0 where all images have the same features,
      and :math:`1 / \sqrt d` where d components spread evenly (Chen & He 2020, arXiv:2011.10566,
      section 4.1 and figure 2).
    - `effective_rank`: :math:`\exp(-\sum_i p_i \ln p_i)` with :math:`p_i` the singular values of
      the features `[n, d]` divided by their sum (Roy & Vetterli 2007, "The effective rank: a
      measure of effective dimensionality", equations 1 to 5; over features of images: Garrido et
      al. 2022, arXiv:2210.02885). Between 1, all features are multiples of one, and min(n, d): take
      more images than a tenth of d, or n is what limits it. 0 where all features are 0.

    Features are not centered, as in both papers. Labels are not needed.

    Args:
        images: `[n, height, width, channels]`, in [0, 255], at least two.
        every: epochs from one measurement to the next.
        encoder: by default the model's own.
        batch_size: images at a time.

    Example:
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), **small)
        >>> model.compile(optimizer="adam")
        >>> history = model.fit(images, verbose=0, callbacks=[CollapseMonitor(images)]).history
        >>> 1 <= history["effective_rank"][-1] <= 8
        True
    """

    def measure(self) -> dict[str, float]:
        """Return `feature_deviation` and `effective_rank`."""
        features = self.features().astype("float64")
        length = np.linalg.norm(features, axis=1, keepdims=True)
        unit = features / np.maximum(length, 1e-12)
        values = np.linalg.svd(features, compute_uv=False)
        share = values[values > 0] / values.sum() if values.any() else np.zeros(0)
        rank = float(np.exp(-np.sum(share * np.log(share)))) if len(share) else 0.0
        return {"feature_deviation": float(unit.std(axis=0).mean()), "effective_rank": rank}

    def on_epoch_end(self, epoch, logs=None):
        """Measure, where it is time, and warn of collapse."""
        super().on_epoch_end(epoch, logs)
        if "effective_rank" not in (logs or {}):
            return
        dim = int(np.prod(self.encoder.output_shape[1:]))
        deviation, rank = logs["feature_deviation"], logs["effective_rank"]
        if deviation * np.sqrt(dim) < LEAST_DEVIATION or rank < LEAST_RANK:
            from tqdm import tqdm

            tqdm.write(
                f"Features have collapsed at epoch {epoch + 1}: effective rank {rank:.1f} of "
                f"{dim}, deviation {deviation:.2g} where an even spread has {dim**-0.5:.2g}. They "
                "hardly differ between images; try a lower learning rate, more candidates, or "
                "stronger augmentation."
            )
