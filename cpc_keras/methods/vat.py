"""Virtual adversarial training."""

import math

from cpc_keras.losses import EntropyMinimization, VirtualAdversarial
from cpc_keras.methods.supervised import supervised
from cpc_keras.models import SemiSupervisedModel

# Length of S4L's perturbation of 224x224x3 numbers in [-1, 1].
EPSILON, NUMBERS = 40.0, 224 * 224 * 3


def vat(
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    epsilon: float | None = None,
    num_power_iterations: int = 1,
    weight: float = 1.0,
    entropy_minimization: bool = False,
    entropy_weight: float = 1.0,
    seed: int | None = None,
    **options,
) -> SemiSupervisedModel:
    """Build virtual adversarial training (Miyato et al. 2018, arXiv:1704.03976).

    `supervised` and `losses.VirtualAdversarial` of all images of a batch; with
    `entropy_minimization` also the entropy of their predictions ("VAT + EntMin").

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: number of classes.
        epsilon: length of the perturbation of an image in [-1, 1]. Default: 40 for 224x224x3, S4L's
            (arXiv:1905.03670, its published settings), and as far for each pixel of other sizes:
            5.7 for 32x32x3.
        num_power_iterations: the paper has 1.
        weight: of the term: 1 in the paper, 0.5 in S4L's settings for ImageNet.
        entropy_minimization: add the entropy.
        entropy_weight: its weight, 1 in both.
        seed: integer, for the augmentation and for the directions that are drawn.
        **options: further arguments of `supervised`.

    Returns:
        `SemiSupervisedModel`, not compiled.

    Raises:
        ValueError: as `losses.VirtualAdversarial` and `SemiSupervisedModel`.

    Example:
        >>> model = vat((32, 32, 3), 10, encoder="tiny", entropy_minimization=True)
        >>> [term.name for term in model.terms], round(model.terms[0].epsilon, 1)
        (['virtual_adversarial', 'entropy'], 5.7)
    """
    if epsilon is None:
        epsilon = EPSILON * math.sqrt(math.prod(image_shape) / NUMBERS)
    terms = [
        VirtualAdversarial(
            epsilon, num_power_iterations=num_power_iterations, weight=weight, seed=seed
        )
    ]
    if entropy_minimization:
        terms.append(EntropyMinimization(entropy_weight))
    return supervised(image_shape, num_classes, terms=terms, seed=seed, **options)
