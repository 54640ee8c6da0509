"""Settings of a pre-training run."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that `pretrain` needs beside images.

    Attributes:
        model: arguments of `CPCModel` other than `image_shape`.
        num_epochs: passes over the images.
        batch_size: images a step.
        learning_rate: peak of AdamW's learning rate (linear warm-up over a twentieth of the steps,
            then cosine to zero).
        weight_decay: of AdamW.
        image_augmentation: name of an augmentation of `augmentations.image_augmentation`, applied
            to whole images in pre-training, or "none".
        seed: of initial weights, order, augmentation and sampled candidates.
    """

    model: dict = dataclasses.field(default_factory=dict)
    num_epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    image_augmentation: str = "none"
    seed: int = 0


RECIPES = {
    "default": Recipe(),
    # From a search by held-out training images (benchmarks/search_mnist_5k.py). More epochs still
    # help; their number follows from the time they take.
    "mnist_5k": Recipe(
        model={
            "patch_encoder": "mlp",
            "candidates": "same_position",
            "context_blocks": 2,
            "context_filters": 64,
            "features": "contexts",
            "pooling": "3x3",
            "independent_targets": True,
        },
        num_epochs=40,
        learning_rate=5e-3,
        image_augmentation="digits",
    ),
}
