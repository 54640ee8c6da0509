"""A step beside a plain PyTorch one, and what other CPC steps count: `python -m benchmarks.peers`.

Both sides train the model of benchmarks/step.py, without augmentation, on the same batch size with
all candidates: a whole step, from uint8 images in memory to AdamW. Ours is what `fit` runs, its
metrics included. The PyTorch step is written here from the paper (Henaff et al. 2019,
arXiv:1905.09272) to be as fast as PyTorch allows: channels_last throughout, four directions through
the context network as one batch, without the rows that predict nothing, one matrix product for the
predictions, one and `cross_entropy` for each direction and offset, fused AdamW, memory that is kept
from step to step; and once more through `torch.compile`, where there is a C++ compiler. It computes
the same loss and gradients (tests/benchmarks/test_peers.py), and no metrics.

Each side is a process of its own, and one works at a time: two thread pools in one process would
wait for each other's cores. Steps go by turns; medians are saved to benchmarks/results/peers.json,
beside what a step of other public CPC code amounts to at this shape (`count`).

Needs PyTorch: `pip install torch==2.13.0`. Absolute times belong to the machine; compare ratios.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import shutil
import time
from collections.abc import Callable

import numpy as np

# Neither TensorFlow nor PyTorch here: each is imported by its own process.

RESULTS = pathlib.Path(__file__).parent / "results" / "peers.json"
BATCH, GRID, SIDE, STRIDE = 64, 7, 8, 4  # SIDE of a patch, in pixels
DIRECTIONS = ("down", "up", "left", "right")
OFFSETS = (2, 3, 4)
STAGES = ("stage0", "stage1", "stage2")
THREADS = 2
PAUSE = 0.05  # seconds until the threads of the side before have stopped looking for work

OURS, PLAIN, COMPILED = "cpc_keras", "PyTorch", "PyTorch, compiled"

# glibc gives large blocks back to the system at once, and PyTorch then pays for zeroed pages anew
# in every step. TensorFlow's process is left as it comes.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--sides", nargs="*", default=_sides(), choices=[OURS, PLAIN, COMPILED])
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    results = measure(arguments.rounds, arguments.batch, arguments.sides)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def measure(rounds: int, batch: int, sides: list[str]) -> dict:
    """Run the sides by turns, `rounds` times; medians in seconds, and ratios to ours."""
    workers = {side: _Worker(side, batch) for side in sides}
    told = {side: worker.receive() for side, worker in workers.items()}
    workers = {side: worker for side, worker in workers.items() if "failed" not in told[side]}
    times = {side: [] for side in workers}
    for round_ in range(-2, rounds):  # two rounds to trace, compile and warm up
        for side, worker in workers.items():
            found = worker.step()
            if round_ >= 0:
                times[side].append(found)
    for worker in workers.values():
        worker.stop()
    seconds = {side: float(np.median(values)) for side, values in times.items()}
    return {
        "machine": told.get(OURS),
        "torch": {side: told[side] for side in sides if side != OURS},
        "batch": batch,
        "rounds": rounds,
        "seconds": {side: round(value, 4) for side, value in seconds.items()},
        "fastest and slowest": {
            side: [round(min(values), 4), round(max(values), 4)] for side, values in times.items()
        },
        "to ours": {
            side: round(value / seconds[OURS], 3)
            for side, value in seconds.items()
            if OURS in seconds and side != OURS
        },
        "counts": count(batch),
    }


def _sides():
    # Inductor writes C++.
    compiler = shutil.which("g++") or shutil.which("clang++")
    return [OURS, PLAIN, *([COMPILED] if compiler else [])]


# What steps amount to ------------------------------------------------------------------------


def count(batch: int, grid: int = GRID, offsets: tuple = OFFSETS, directions: int = 4) -> dict:
    """What a step amounts to, here and in other public code for CPC on images.

    As read in their repositories, in numbers alone, on a square grid of `grid` x `grid` patches:

    - Lightning Bolts (Lightning-Universe/lightning-bolts, `CPC_v2`): one direction; contexts of the
      whole grid; one predictor for every offset. Its loops visit the offset k, from 2 on, k - 1
      times, each time with all patches of the batch as candidates: 21 visits on seven rows, 6 of
      which have no row left.
    - CPCV2-PyTorch (rschwarz15): contexts of the whole grid in each direction; offsets from 2 on;
      16 negatives for each prediction, each copied from the codes after W_k, 256 numbers long, with
      replacement. Its defaults are one direction and five offsets.

    Args:
        batch: images.
        grid: rows of the grid, and columns.
        offsets: those that are predicted here.
        directions: how many are predicted here.

    Returns:
        Dict by name of dicts: `patches` through the encoder, `contexts` (grid positions through the
        context network), `terms`, `predictions` that are scored, `scores` (inner products of a
        prediction and a candidate), of them `distinct scores` (each once, though a loop computes
        it again) and their `length`.
    """
    patches = batch * grid * grid

    def rows_left(offset):
        return max(grid - offset, 0)

    def step(directions, visits, candidates, length, context_rows=grid):
        """`visits`: the offset of each term of one direction."""
        predictions = directions * batch * grid * sum(map(rows_left, visits))
        distinct = directions * batch * grid * sum(map(rows_left, set(visits)))
        return {
            "patches": patches,
            "contexts": directions * batch * context_rows * grid,
            "terms": directions * len(visits),
            "predictions": predictions,
            "scores": predictions * candidates,
            "distinct scores": distinct * candidates,
            "length": length,
        }

    visits = [k for k in range(2, grid + 1) for _ in range(k - 1)]
    one_positive_and_16 = 17
    every = tuple(range(2, grid))
    return {
        OURS: step(directions, offsets, patches, 64, grid - min(offsets)),
        "Lightning Bolts": step(1, visits, patches, 64),
        "CPCV2-PyTorch": step(1, every, one_positive_and_16, 256),
        "CPCV2-PyTorch, our directions and offsets": step(
            directions, offsets, one_positive_and_16, 256
        ),
    }


# The sides -----------------------------------------------------------------------------------


class _Worker:
    """A process that makes one step when it is told to."""

    def __init__(self, side, batch):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(side, batch, theirs), daemon=True)
        kept = {} if side == OURS else KEEP_MEMORY
        # glibc reads them as the process starts.
        os.environ.update(kept)
        self.process.start()
        for name in kept:
            del os.environ[name]
        theirs.close()

    def step(self) -> float:
        time.sleep(PAUSE)
        self.connection.send("step")
        return self.receive()

    def receive(self):
        return self.connection.recv()

    def stop(self):
        self.connection.send(None)
        self.process.join()


def _work(side, batch, connection):
    """Tell what this side is, then make steps and tell how long each took."""
    try:
        step, told = our_step(batch) if side == OURS else torch_step(batch, side == COMPILED)
        step()  # traced, compiled
    except Exception as error:  # what cannot be compiled here must not cost the other figures
        if side != COMPILED:
            raise
        connection.send({"failed": f"{type(error).__name__}: {error}"[:500]})
        return
    connection.send(told)
    while connection.recv() is not None:
        started = time.perf_counter()
        step()
        connection.send(time.perf_counter() - started)


def _images(batch):
    shape = (16 * batch, 32, 32, 3)
    return np.random.default_rng(0).integers(0, 256, shape, "uint8")


def our_step(batch: int) -> tuple[Callable[[], float], dict]:
    """What `fit` runs for a step, its input pipeline included, and the machine."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)

    from benchmarks.step import machine
    from cpc_keras.data import image_batches

    model = our_model()
    batches = iter(image_batches(_images(batch), batch_size=batch))
    model.make_train_function()
    return lambda: float(model.train_function(batches)["loss"]), machine()


def our_model():
    """The model of benchmarks/step.py, its patches not augmented."""
    import keras

    from benchmarks.step import PATCH, SHAPE
    from cpc_keras import CPCModel
    from cpc_keras.encoders import resnet_v2

    model = CPCModel(
        SHAPE,
        patch_encoder=resnet_v2(PATCH, widths=(32, 64, 256), blocks=(1, 1, 1)),
        context_blocks=3,
        context_filters=128,
        candidates="all",
        patch_augmentation=None,
        seed=0,
    )
    model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    return model


def torch_step(batch: int, compiled: bool) -> tuple[Callable[[], float], dict]:
    """The same step in PyTorch, and what ran it."""
    import torch

    torch.set_num_threads(THREADS)
    # As TensorFlow does in all of its threads.
    torch.set_flush_denormal(True)
    images = torch.from_numpy(_images(batch))
    weights = torch_weights(_random_arrays())
    labels = torch_labels(batch)
    optimizer = torch_optimizer(weights)
    loss_of = torch.compile(torch_loss, dynamic=False) if compiled else torch_loss

    def step():
        batch_of_images = images[torch.randperm(len(images))[:batch]]
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(weights, batch_of_images, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, {"torch": torch.__version__, "threads": torch.get_num_threads()}


# The PyTorch step ----------------------------------------------------------------------------


def our_arrays(model, value: Callable = np.asarray) -> dict[str, np.ndarray]:
    """By names of this file: `value` of each weight of a `CPCModel` of this shape."""
    arrays = {}
    for layer in model.patch_encoder.layers:
        for weight in layer.weights:
            arrays[f"{layer.name}/{weight.name}"] = value(weight)
    for n, block in enumerate(model.context_network.blocks):
        for part, name in zip(block, ("in", "row", "pad", "above", "out"), strict=True):
            for weight in part.weights:
                arrays[f"context{n}_{name}/{weight.name}"] = value(weight)
    heads = {layer.name: layer.weights for layer in model.network.layers}
    arrays["targets/kernel"], arrays["targets/bias"] = map(value, heads["targets"])
    # [directions, dim, offsets * target_dim]: one product a direction.
    arrays["predict/kernel"] = np.stack(
        [np.concatenate([value(w) for w in heads[f"predict_{d}"]], axis=1) for d in DIRECTIONS]
    )
    return arrays


def _random_arrays():
    """Arrays of the shapes of `our_arrays`: He's initial values, and norms that change nothing."""
    shapes = {"stem/kernel": (3, 3, 3, 32)}
    inputs = 32
    for stage, width in zip(STAGES, (32, 64, 256), strict=True):
        block = f"{stage}_block0"
        shapes[f"{block}_0_norm"] = (inputs,)
        shapes[f"{block}_1_norm"] = (width,)
        if width != inputs:
            shapes[f"{block}_shortcut/kernel"] = (1, 1, inputs, width)
        shapes[f"{block}_conv0/kernel"] = (3, 3, inputs, width)
        shapes[f"{block}_conv1/kernel"] = (3, 3, width, width)
        inputs = width
    shapes["final_norm"] = (inputs,)
    for n in range(3):
        for name, kernel in {
            "in": (1, 1, 256, 128),
            "row": (1, 3, 128, 128),
            "above": (2, 1, 128, 128),
            "out": (1, 1, 128, 256),
        }.items():
            shapes[f"context{n}_{name}/kernel"] = kernel
            shapes[f"context{n}_{name}/bias"] = kernel[-1:]
    shapes |= {"targets/kernel": (256, 64), "targets/bias": (64,)}
    shapes["predict/kernel"] = (len(DIRECTIONS), 256, len(OFFSETS) * 64)
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in shapes.items():
        if name.endswith("norm"):
            arrays[f"{name}/gamma"], arrays[f"{name}/beta"] = np.ones(shape), np.zeros(shape)
        elif name.endswith("bias"):
            arrays[name] = np.zeros(shape)
        else:
            fan_in = shape[1] if name.startswith("predict") else np.prod(shape[:-1])
            gain = 2 if len(shape) == 4 else 1
            arrays[name] = rng.normal(scale=np.sqrt(gain / fan_in), size=shape)
    return {name: array.astype("float32") for name, array in arrays.items()}


def torch_weights(arrays: dict[str, np.ndarray]) -> dict:
    """Parameters as `torch_loss` wants them: kernels `[out, in, ...]`, channels last in memory."""
    import torch

    def parameter(name, array):
        if array.ndim == 4 and array.shape[:2] == (1, 1) and name.startswith("context"):
            array = array[0, 0]  # a matrix product
        array = torch.tensor(array)  # a copy: Keras's own must not move with it
        if array.ndim == 4:
            array = array.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        elif array.ndim == 2:
            array = array.T.contiguous()
        return torch.nn.Parameter(array)

    return {name: parameter(name, array) for name, array in arrays.items()}


def torch_optimizer(weights: dict):
    """AdamW with the values of `keras.optimizers.AdamW(1e-3)`, all parameters in one call."""
    import torch

    return torch.optim.AdamW(weights.values(), lr=1e-3, eps=1e-7, weight_decay=4e-3, fused=True)


def torch_labels(batch: int) -> dict:
    """By direction and offset: which of the batch's patches each prediction belongs to."""
    import torch

    places = _turn(torch.arange(GRID * GRID).reshape(1, GRID, GRID, 1))
    images = GRID * GRID * torch.arange(batch)[:, None]
    return {
        (d, k): (images + turned[:, k:].reshape(1, -1)).reshape(-1)
        for d, turned in enumerate(places)
        for k in OFFSETS
    }


def torch_loss(weights: dict, images, labels: dict):
    """The mean over directions and offsets of the mean cross-entropy.

    Args:
        weights: from `torch_weights`.
        images: uint8 `[batch, 32, 32, 3]`.
        labels: from `torch_labels`.
    """
    import torch
    from torch.nn import functional

    codes = _torch_codes(weights, images)  # [B * 49, 256]
    targets = functional.linear(codes, weights["targets/kernel"], weights["targets/bias"])
    candidates = 0.1 * targets.T  # [64, B * 49]
    turned = _turn(codes.reshape(-1, GRID, GRID, codes.shape[-1]))
    # One batch of all directions, without the last rows, which predict nothing.
    rows = GRID - min(OFFSETS)
    contexts = _torch_contexts(weights, torch.cat([grid[:, :rows] for grid in turned]))
    contexts = contexts.reshape(len(DIRECTIONS), -1, contexts.shape[-1])
    predictions = torch.bmm(contexts, weights["predict/kernel"])
    predictions = predictions.reshape(len(DIRECTIONS), -1, rows, GRID, len(OFFSETS), 64)
    terms = []
    for (d, k), own in labels.items():
        scored = predictions[d, :, : GRID - k, :, OFFSETS.index(k)].reshape(-1, 64)
        terms.append(functional.cross_entropy(scored @ candidates, own))
    return torch.stack(terms).mean()


def _turn(grid):
    """`[batch, rows, columns, ...]` with each of `DIRECTIONS` pointing down."""
    swapped = grid.transpose(1, 2)
    return grid, grid.flip(1, 2), swapped.flip(1), swapped.flip(2)


def _torch_codes(weights, images):
    from torch.nn import functional

    # Scaled before they are cut: four times fewer pixels.
    x = images.float().mul_(1 / 127.5).sub_(1.0)
    x = x.unfold(1, SIDE, STRIDE).unfold(2, SIDE, STRIDE)  # [B, 7, 7, 3, 8, 8], nothing copied
    x = x.permute(0, 1, 2, 4, 5, 3).reshape(-1, SIDE, SIDE, x.shape[3])
    x = x.permute(0, 3, 1, 2)  # channels last in memory, as the copy left them

    def activate(x, name):
        gamma, beta = weights[f"{name}/gamma"], weights[f"{name}/beta"]
        return functional.relu_(functional.group_norm(x, 1, gamma, beta, eps=1e-5))

    def convolve(x, name, **options):
        return functional.conv2d(x, weights[f"{name}/kernel"], **options)

    x = convolve(x, "stem", padding=1)
    for stage in STAGES:
        block = f"{stage}_block0"
        y = activate(x, f"{block}_0_norm")
        if stage == STAGES[0]:
            y = convolve(y, f"{block}_conv0", padding=1)
        else:
            x = convolve(y, f"{block}_shortcut", stride=2)
            # Keras pads below and to the right alone.
            y = convolve(functional.pad(y, (0, 1, 0, 1)), f"{block}_conv0", stride=2)
        y = activate(y, f"{block}_1_norm")
        x = convolve(y, f"{block}_conv1", padding=1).add_(x)
    return activate(x, "final_norm").mean((2, 3))


def _torch_contexts(weights, x):
    """`[n, rows, columns, 256]` to contexts that see no row below."""
    from torch.nn import functional

    for n in range(3):

        def of(name, n=n):
            return weights[f"context{n}_{name}/kernel"], weights[f"context{n}_{name}/bias"]

        y = functional.relu_(functional.linear(x, *of("in")))
        y = functional.conv2d(y.permute(0, 3, 1, 2), *of("row"), padding=(0, 1))
        y = functional.conv2d(functional.pad(y, (0, 0, 1, 0)), *of("above"))
        x = x + functional.linear(functional.relu_(y).permute(0, 2, 3, 1), *of("out"))
    return functional.relu(x)


if __name__ == "__main__":
    main()
