"""Time and network load of a step on many GPUs, on paper.

A message takes a start-up time and a bandwidth, and collectives are rings: the model of Thakur,
Rabenseifner and Gropp 2005 ("Optimization of collective communication operations in MPICH", section
4) and Patarasuk and Yuan 2009 ("Bandwidth optimal all-reduce algorithms for clusters of
workstations", section 4), in two levels: within a machine, and between machines over one adapter a
GPU.
"""

import math
from typing import NamedTuple

FLOAT32 = 4


class Link(NamedTuple):
    """What a message costs: `start + num_bytes / bandwidth` seconds.

    Attributes:
        start: seconds before the first byte.
        bandwidth: bytes a second, in each direction.
    """

    start: float
    bandwidth: float


class Cluster(NamedTuple):
    """Machines of the same GPUs.

    Attributes:
        flops: operations a second that a GPU sustains in training.
        memory: bytes of a GPU.
        per_machine: GPUs of a machine.
        inside: link of two GPUs of a machine.
        between: link of two machines, of each GPU its own.
    """

    flops: float
    memory: float
    per_machine: int
    inside: Link
    between: Link


# Operations of a forward pass of ResNet-50 at 224 pixels, as `encoders.count_flops` counts them
# (named_resnet("resnet50", (224, 224, 3), num_stages=4)); a step is three of them. 17,400 images a
# second on eight A100 in mixed precision, XLA and input included: NVIDIA DeepLearningExamples,
# TensorFlow/Classification/ConvNets/resnet50v1.5, "Training performance: NVIDIA DGX A100".
RESNET50_FLOPS = 8.174e9
RESNET50_RATE = 17_400 / 8
# The share of a peak that a ring reaches, and the start-up times, are assumed. Peaks (NVIDIA,
# "Defining AI innovation with DGX A100"): NVLink 600 GB/s of both directions, and an adapter of 200
# Gbit/s for each GPU. Memory: the 80 GB kind.
LINK_SHARE = 0.8
GPU = Cluster(
    flops=3 * RESNET50_FLOPS * RESNET50_RATE,
    memory=80e9,
    per_machine=8,
    inside=Link(3e-6, LINK_SHARE * 300e9),
    between=Link(10e-6, LINK_SHARE * 25e9),
)
# The rest is for what the framework keeps, and for gathered codes and scores.
MEMORY_SHARE = 0.8


class Network(NamedTuple):
    """What of a model counts here, all of one image unless said otherwise.

    Attributes:
        image_flops: a forward pass.
        weights: numbers whose gradients are summed over GPUs.
        state_bytes: weights, gradients and the optimizer's state.
        activation_bytes: kept for the backward pass, in 16 bits.
        codes: targets.
        predictions: of all directions and offsets.
        dim: length of both.
    """

    image_flops: float
    weights: int
    state_bytes: int
    activation_bytes: float
    codes: int
    predictions: int
    dim: int


def ring_all_gather(num_bytes: float, num_devices: int, link: Link) -> float:
    """Seconds in which each device gets what all have: `(p - 1)(start + num_bytes / bandwidth)`.

    Args:
        num_bytes: what each device has of its own.
        num_devices: p, in a ring.
        link: between neighbours.
    """
    return (num_devices - 1) * (link.start + num_bytes / link.bandwidth)


def ring_reduce_scatter(num_bytes: float, num_devices: int, link: Link) -> float:
    """Seconds in which each device gets its share, 1 / p, of the sum of all vectors.

    Args:
        num_bytes: of the vector that every device has.
        num_devices: p, in a ring.
        link: between neighbours.
    """
    return ring_all_gather(num_bytes / num_devices, num_devices, link)


def ring_all_reduce(num_bytes: float, num_devices: int, link: Link) -> float:
    """Seconds in which each device gets the sum of all vectors: shares are summed, then gathered.

    Args:
        num_bytes: of the vector that every device has.
        num_devices: p, in a ring.
        link: between neighbours.
    """
    return 2 * ring_reduce_scatter(num_bytes, num_devices, link)


def _split(num_gpus, cluster):
    inside = min(num_gpus, cluster.per_machine)
    return inside, num_gpus // inside


def gather(num_bytes: float, num_gpus: int, cluster: Cluster = GPU) -> tuple[float, float]:
    """Seconds of an all-gather in two levels, and bytes that leave each GPU's adapter.

    GPUs of the same place in all machines gather first, each over its own adapter; then those of a
    machine exchange what they have.
    """
    inside, machines = _split(num_gpus, cluster)
    seconds = ring_all_gather(num_bytes, machines, cluster.between)
    seconds += ring_all_gather(machines * num_bytes, inside, cluster.inside)
    return seconds, (machines - 1) * num_bytes


def reduce(num_bytes: float, num_gpus: int, cluster: Cluster = GPU) -> tuple[float, float]:
    """Seconds of an all-reduce in two levels, and bytes that leave each GPU's adapter."""
    inside, machines = _split(num_gpus, cluster)
    share = num_bytes / inside
    seconds = ring_all_reduce(num_bytes, inside, cluster.inside)
    seconds += ring_all_reduce(share, machines, cluster.between)
    return seconds, 2 * (machines - 1) / machines * share


def fits(network: Network, cluster: Cluster = GPU) -> int:
    """Images that a GPU holds at a time, a power of two."""
    free = MEMORY_SHARE * cluster.memory - network.state_bytes
    return 2 ** math.floor(math.log2(free / network.activation_bytes))


def step(
    network: Network,
    num_gpus: int,
    per_gpu: float,
    ratios: dict,
    *,
    gathered_from: int | None = None,
    num_negatives: int | None = None,
) -> dict:
    """Time and load of a step in which nothing overlaps.

    Args:
        network: the model.
        num_gpus: that train together.
        per_gpu: images of each; more than fit are encoded in chunks, and once more for the
            gradients (`CPCModel(chunk_size=...)`).
        ratios: see `measured`.
        gathered_from: GPUs whose codes are candidates of each other; all by default.
        num_negatives: as of `candidates="sampled"`, which gathers all codes too; by default all
            are scored.

    Returns:
        `candidates`; `seconds` of "encoder", "scores", "codes" (gathered, and their gradients
        summed: `tf.distribute` sums the whole matrix on every GPU, then takes its part) and
        "gradients"; `network_bytes` by the same names, what leaves each GPU's adapter.
    """
    group = gathered_from or num_gpus
    passes = 3 if per_gpu <= fits(network) else 4
    candidates = round(group * per_gpu * network.codes)
    if num_negatives is not None:
        candidates = min(candidates, num_negatives + 1)
    encoder = passes * per_gpu * network.image_flops * ratios["step to encoder"] / GPU.flops
    scored = 3 * 2 * per_gpu * network.predictions * candidates * network.dim
    own = per_gpu * network.codes * network.dim * FLOAT32
    (there, sent), (back, returned) = gather(own, group), reduce(group * own, group)
    summed, shared = reduce(FLOAT32 * network.weights, num_gpus)
    return {
        "candidates": candidates,
        "seconds": {
            "encoder": encoder,
            "scores": scored / (ratios["scores to encoder"] * GPU.flops),
            "codes": there + back,
            "gradients": summed,
        },
        "network_bytes": {"codes": sent + returned, "gradients": shared},
    }
