"""Predictions that do not change in the direction that would change them most."""

import keras
from keras import ops

from cpc_keras.losses.unlabeled_term import UnlabeledTerm
from cpc_keras.ops.kl_divergence import kl_divergence
from cpc_keras.ops.virtual_adversarial_direction import virtual_adversarial_direction

# Pixels in [0, 255] are this far apart for images in [-1, 1].
HALF_RANGE = 127.5


@keras.saving.register_keras_serializable("cpc_keras")
class VirtualAdversarial(UnlabeledTerm):
    """Local distributional smoothness: VAT (Miyato et al. 2018, arXiv:1704.03976).

    `KL(p(y | x) || p(y | x + r))` with `r = epsilon d`, d the unit direction that changes the
    prediction most (equations 5 and 6), from a random one by `num_power_iterations` steps of power
    iteration (`ops.virtual_adversarial_direction`). The clean prediction and the direction are
    constants to the gradient. Of both passes nothing is drawn at random: with dropout they would
    differ without any perturbation. The mean is over labelled and unlabelled images (equation 8).

    Args:
        epsilon: Euclidean length of the perturbation of a whole image whose pixels are in [-1, 1],
            the scale on which S4L (Zhai et al. 2019, arXiv:1905.03670) has 40 for 224x224x3: 13
            pixel values of 255, root mean square. Miyato's 8 and 10 for CIFAR-10 are for whitened
            images, another scale.
        num_power_iterations: steps of power iteration, 1 or more.
        weight: factor of the term in the loss.
        rows: "all" (the paper) or "unlabeled".
        seed: integer, for the random directions.
        name: under which the term is logged.

    Call arguments:
        logits: `[batch, classes]`; not used, the clean pass comes with the direction.
        images: `[batch, height, width, channels]`, pixels in [0, 255].
        classify: function from images to logits.

    Returns:
        float32 `[batch]`, in nats.

    Raises:
        ValueError: a length that is not positive, less than one iteration.

    Example:
        >>> images = np.random.uniform(0, 255, (2, 4, 4, 1)).astype("float32")
        >>> flat = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
        >>> term = VirtualAdversarial(epsilon=0.01, seed=0)
        >>> bool(np.all(np.asarray(term(None, images=images, classify=flat)) > 0))
        True
    """

    def __init__(
        self,
        epsilon: float,
        *,
        num_power_iterations: int = 1,
        weight: float = 1.0,
        rows: str = "all",
        seed: int | None = None,
        name: str = "virtual_adversarial",
    ):
        super().__init__(weight, rows=rows, name=name)
        if not epsilon > 0:
            raise ValueError(
                f"VirtualAdversarial: epsilon must be greater than 0. Received: {epsilon!r}."
            )
        if int(num_power_iterations) != num_power_iterations or num_power_iterations < 1:
            raise ValueError(
                "VirtualAdversarial: num_power_iterations must be 1 or more. Received: "
                f"{num_power_iterations!r}; 0 would be a random direction."
            )
        self.epsilon, self.num_power_iterations = float(epsilon), int(num_power_iterations)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, logits, *, images=None, classify=None, training=False):
        """Return the divergences."""
        images = ops.cast(images, "float32")
        start = keras.random.normal(ops.shape(images), seed=self.seed_generator)
        clean, direction = virtual_adversarial_direction(
            classify, images, start=start, num_power_iterations=self.num_power_iterations
        )
        perturbed = classify(images + self.epsilon * HALF_RANGE * direction)
        return kl_divergence(clean, perturbed)

    def num_passes(self) -> float:
        """Return what it computes beyond the logits, in forward passes of an image."""
        # A step of iteration is a pass forward, its push forward and a way back, the perturbed
        # images a whole pass of training.
        return 3.0 * self.num_power_iterations + 3.0

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "num_power_iterations": self.num_power_iterations,
            "seed": self.seed,
        }
