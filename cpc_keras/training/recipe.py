"""Settings of a pre-training run."""

import dataclasses

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that `pretrain` needs beside images.

    Attributes:
        method: name of a method of `methods.METHODS`, which builds the model.
        model: arguments of the method other than the shape of images.
        num_epochs: passes over the images, or parts of `steps_per_epoch`.
        steps_per_epoch: steps after which an epoch ends: its metrics, probes and random numbers; by
            default those of a pass over the images. The order of images goes on across it.
        batch_size: images a step.
        optimizer: "adamw", "adam", "lamb", "lars" (`training.LARS`) or "sgd".
        optimizer_options: further arguments of that optimizer, for example
            `{"weight_decay": 1e-4}`. `"use_ema": True` has a run give averaged weights, averaged at
            every step, also those that only gather gradients;
            `"gradient_accumulation_steps": 4` updates after every fourth step with the mean of
            their gradients, which saves memory and adds no negatives: a step's candidates are those
            of its own batch. More candidates in the same memory give `model`'s `"chunk_size"`
            (`CPCModel`), which encodes a large batch in parts.
        learning_rate: the peak.
        schedule: "cosine" (linear warm-up, then cosine to zero) or "constant".
        warmup: share of the steps over which the cosine schedule's rate rises.
        image_size: side that images are resized to where the caller names none.
        channels: 1 or 3: convert images where the caller does not say.
        crop_size: side of what the model sees of an image, a random part in training, the centre of
            held-out images; by default the whole.
        flip: mirror every second image of training, at random.
        image_augmentation: name of an augmentation of `augmentations.image_augmentation`, applied
            to whole images in pre-training, or "none".
        unlabeled_ratio: unlabelled images of a batch for each labelled one, of methods that use
            both (`data.mixed_batches`); the batch size is a multiple of one more than it. Batches
            of "supervised" are of labelled images alone, whatever it is.
        precision: "float32", "mixed_bfloat16" or "mixed_float16": what layers compute in, while
            weights and losses stay float32. With "mixed_float16" the loss is scaled so that small
            gradients are not lost, and steps whose gradients overflow are left out.
        seed: of initial weights, order, augmentation and sampled candidates.
    """

    method: str = "cpc"
    model: dict = dataclasses.field(default_factory=dict)
    num_epochs: int = 20
    steps_per_epoch: int | None = None
    batch_size: int = 64
    optimizer: str = "adamw"
    optimizer_options: dict = dataclasses.field(default_factory=lambda: {"weight_decay": 1e-4})
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: float = 0.05
    image_size: int | None = None
    channels: int | None = None
    crop_size: int | None = None
    flip: bool = False
    image_augmentation: str = "none"
    unlabeled_ratio: int = 1
    precision: str = "float32"
    seed: int = 0


def _momentum(decay):
    """Options of the papers' SGD: momentum 0.9, and a weight decay that stands in the loss.

    There it goes through the momentum, which makes it 1 / (1 - 0.9) = 10 times as strong as
    Keras's, which is taken off the weights beside it.
    """
    return {"momentum": 0.9, "weight_decay": 10 * decay}


RECIPES = {
    "default": Recipe(),
    # From a search by held-out training images (benchmarks/search_settings.py). More epochs still
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
            "patch_augmentation": "light",
        },
        num_epochs=40,
        learning_rate=5e-3,
        image_augmentation="digits",
    ),
    # For hours of a CPU, from a search by held-out training images
    # (benchmarks/search_settings.py): in equal time one direction teaches codes more than four.
    "cifar10": Recipe(
        model={
            "patch_encoder": "mlp",
            "encoder_width": 512,
            "directions": ["down"],
            "context_blocks": 2,
            "context_filters": 128,
            "num_anchors": 256,
            "pooling": "3x3",
        },
        num_epochs=40,
        batch_size=32,
        learning_rate=2e-3,
        flip=True,
    ),
    # The papers' settings for ImageNet, for many GPUs: `cpc-keras describe cpc_v2_imagenet`.
    # v1 (arXiv:1807.03748, section 3.2) does not say for how long; here as v2.
    "cpc_v1_imagenet": Recipe(
        method="cpc_v1",
        num_epochs=140,
        batch_size=512,
        optimizer="adam",
        optimizer_options={},
        learning_rate=2e-4,
        schedule="constant",
        image_size=300,
        channels=1,
        crop_size=256,
        flip=True,
    ),
    # v2 (arXiv:1905.09272): 350 thousand steps of 512 images are 140 epochs. The optimizer is
    # recalled, not read: see `methods.cpc_v2`.
    "cpc_v2_imagenet": Recipe(
        method="cpc_v2",
        num_epochs=140,
        batch_size=512,
        optimizer="adam",
        optimizer_options={
            "beta_1": 0.8,
            "beta_2": 0.999,
            "epsilon": 1e-8,
            "global_clipnorm": 0.01,
            "use_ema": True,
            "ema_momentum": 0.9999,
        },
        learning_rate=4e-4,
        schedule="constant",
        image_size=300,
        channels=3,
        crop_size=260,
        flip=True,
    ),
    # SimCLR (arXiv:2002.05709, section 2.1): rate 0.3 times batch size over 256. Crops are drawn
    # from squares of 224 pixels, where the paper draws them from the images as they are.
    "simclr_imagenet": Recipe(
        method="simclr",
        num_epochs=100,
        batch_size=4096,
        optimizer="lars",
        optimizer_options={"weight_decay": 1e-6},
        learning_rate=4.8,
        warmup=0.1,
        image_size=224,
        channels=3,
    ),
    # S4L (arXiv:1905.03670) and its published settings for 10 % of ImageNet's labels: batches of
    # 256 labelled and 256 unlabelled images, momentum, a rate that falls by steps (a cosine here),
    # 200 passes over the labelled images, which are 100 thousand steps. Its encoder is four times
    # as wide. Crops are drawn from squares of 256 pixels. Pseudo-labels are here in one training,
    # as Lee has them, by these settings; S4L retrains on those of a finished network. Their weight
    # rises from 10 to 50 % of the steps, as in the tables of methods: with the method's own 100 and
    # 600, guesses would count three times as much as labels before the warm-up is over.
    **{
        f"{name}_imagenet": Recipe(
            method=method,
            model=model,
            num_epochs=200,
            steps_per_epoch=500,
            batch_size=batch_size,
            unlabeled_ratio=ratio,
            optimizer="sgd",
            optimizer_options=_momentum(1e-3),
            learning_rate=rate,
            warmup=0.025,
            image_size=256,
            channels=3,
            crop_size=224,
            flip=True,
        )
        for name, method, model, rate, batch_size, ratio in (
            ("supervised", "supervised", {}, 0.1, 256, 0),
            ("pseudo_label", "pseudo_label", {"ramp": [10_000, 50_000]}, 0.03, 512, 1),
            ("vat", "vat", {"weight": 0.5}, 0.03, 512, 1),
            ("vat_entropy", "vat", {"weight": 0.5, "entropy_minimization": True}, 0.03, 512, 1),
            ("rotation_joint", "rotation_joint", {}, 0.03, 512, 1),
        )
    },
    # The four below train by SGD with momentum 0.9 and lower the rate in steps; here it falls along
    # a cosine. The first three papers have AlexNet, or what is like it, for an encoder; here it is
    # ResNet-50 of three stages, 1024 features.
    # Rotation (arXiv:1803.07728, section 3.2): 192 images, each in four copies, a step.
    "rotation_imagenet": Recipe(
        method="rotation",
        model={"encoder": "resnet50"},
        num_epochs=30,
        batch_size=192,
        optimizer="sgd",
        optimizer_options=_momentum(5e-4),
        learning_rate=0.01,
        image_size=256,
        channels=3,
        crop_size=224,
        flip=True,
    ),
    # Relative position (arXiv:1505.05192, section 3): images of 150 to 450 thousand pixels, here
    # squares of their mean. The paper trains for four weeks on one GPU and tells neither batch nor
    # epochs; its momentum of 0.999 went with a network that hardly learned otherwise.
    "relative_position_imagenet": Recipe(
        method="relative_position",
        model={"encoder": "resnet50"},
        num_epochs=70,
        batch_size=256,
        optimizer="sgd",
        optimizer_options=_momentum(5e-4),
        learning_rate=0.01,
        image_size=548,
        channels=3,
    ),
    # Jigsaw (arXiv:1603.09246, section 4): 350 thousand steps of 256 images are 70 epochs. Crops
    # of 255 pixels are those of later implementations; the paper's figure 3 has 225.
    "jigsaw_imagenet": Recipe(
        method="jigsaw",
        model={"encoder": "resnet50"},
        num_epochs=70,
        batch_size=256,
        optimizer="sgd",
        optimizer_options=_momentum(5e-4),
        learning_rate=0.01,
        image_size=256,
        channels=3,
        crop_size=255,
    ),
    # Instance discrimination (arXiv:1805.01978, section 4), by the whole ResNet-50.
    "instance_discrimination_imagenet": Recipe(
        method="instance_discrimination",
        model={"num_images": 1_281_167},
        num_epochs=200,
        batch_size=256,
        optimizer="sgd",
        optimizer_options=_momentum(1e-4),
        learning_rate=0.03,
        image_size=224,
        channels=3,
    ),
}
