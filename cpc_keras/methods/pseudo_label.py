"""Pseudo-labels."""

from cpc_keras.losses import PseudoLabel
from cpc_keras.methods.supervised import supervised
from cpc_keras.models import SemiSupervisedModel


def pseudo_label(
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    *,
    weight: float = 3.0,
    ramp: tuple[int, int] = (100, 600),
    threshold: float = 0.0,
    **options,
) -> SemiSupervisedModel:
    """Build the classifier that takes its own likeliest classes for labels (Lee 2013).

    `supervised` and `losses.PseudoLabel` of the unlabelled images of a batch, in one training. S4L
    (Zhai et al. 2019, arXiv:1905.03670) compares with another form under this name: train, label
    all images once, train anew.

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: number of classes.
        weight: of the term, once it has risen (the paper: 3).
        ramp: training steps between which it rises. The numbers are the paper's T1 and T2, the unit
            is ours: the paper's could not be read, and some implementations count epochs. Let it
            rise in the first half of a run, as recipe `"pseudo_label_imagenet"` does: from 10 to
            50 % of its steps.
        threshold: least probability of a class to be taken for a label; the paper has none.
        **options: further arguments of `supervised`.

    Returns:
        `SemiSupervisedModel`, not compiled.

    Raises:
        ValueError: as `losses.PseudoLabel` and `SemiSupervisedModel`.

    Example:
        >>> model = pseudo_label((32, 32, 3), 10, encoder="tiny", threshold=0.95)
        >>> [term.name for term in model.terms]
        ['pseudo_label']
    """
    terms = [PseudoLabel(weight, ramp=ramp, threshold=threshold)]
    return supervised(image_shape, num_classes, terms=terms, **options)
