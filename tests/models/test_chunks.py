"""Encoding in chunks: the same training, in the memory of a chunk."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel

SHAPE = (16, 16, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, *SHAPE), "uint8")


def trained(chunk_size, **options):
    """Losses and weights after two epochs of SGD; the last batch of an epoch holds 4 images."""
    keras.utils.set_random_seed(0)
    if options.get("independent_targets"):
        # Which copy is drawn first is not promised: both are the image itself.
        options["image_augmentation"] = keras.layers.Activation("linear")
    model = CPCModel(
        SHAPE,
        patch_encoder="mlp",
        offsets=(2,),
        context_blocks=1,
        context_filters=8,
        chunk_size=chunk_size,
        seed=0,
        # One direction of four: the graph of each takes seconds to build.
        **{"patch_augmentation": "light", "directions": ("down",), **options},
    )
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    history = model.fit(IMAGES, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    return history["loss"], np.concatenate([w.ravel() for w in model.get_weights()])


# What is augmented is drawn once: drawn again in the second run, the gradients would be of other
# patches.
@pytest.mark.parametrize(
    "options",
    [
        {"patch_augmentation": "light"},
        pytest.param(
            {"independent_targets": True, "patch_augmentation": None}, marks=pytest.mark.slow
        ),
        pytest.param(
            {
                "shared_context": False,
                "directions": ("down", "left"),
                "context_network": "row_gru",
                "score": "bilinear",
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["augmented", "independent targets", "own contexts"],
)
def test_training_is_that_of_whole_batches(options):
    losses, weights = trained(None, **options)
    found, others = trained(3, **options)
    np.testing.assert_allclose(found, losses, rtol=1e-5)
    np.testing.assert_allclose(others, weights, atol=2e-5)


def test_mixed_precision_trains_in_chunks():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        losses, _ = trained(4)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(losses).all()


def test_layers_that_draw_in_the_encoder_are_refused():
    encoder = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dropout(0.5, name="drop")]
    )
    with pytest.raises(ValueError, match="'drop' would draw at random anew"):
        CPCModel(SHAPE, patch_encoder=encoder, offsets=(2,), chunk_size=4)
    CPCModel(SHAPE, patch_encoder=encoder, offsets=(2,))


@pytest.mark.parametrize("chunk_size", [0, -1, 2.5])
def test_a_chunk_that_is_no_number_of_images_is_refused(chunk_size):
    with pytest.raises(ValueError, match=f"1 or more images. Received: {chunk_size}"):
        CPCModel(SHAPE, patch_encoder="mlp", offsets=(2,), chunk_size=chunk_size)


PEAK = """
import pathlib, re, sys
import keras, numpy as np
from cpc_keras import CPCModel

batch, chunk = (int(x) or None for x in sys.argv[1:])
# Small, for time, in everything that is not what is measured: of each patch, an encoder's maps.
model = CPCModel(
    (32, 32, 3),
    patch_encoder="tiny",
    offsets=(2,),
    target_dim=32,
    num_anchors=256,
    context_blocks=1,
    context_filters=32,
    patch_augmentation="light",
    chunk_size=chunk,
    seed=0,
)
model.compile(optimizer="adam")
images = np.zeros((batch, 32, 32, 3), "uint8")
model.fit(images, batch_size=batch, verbose=0)
codes = sum(np.prod(y.shape[1:]) for y in model.network.output.values()) + 49 * 8 * 8 * 3
# Not getrusage: its peak begins at that of the process that started this one.
status = pathlib.Path("/proc/self/status").read_text()
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]), 4 * batch * codes)
"""


def peak(batch, chunk):
    """Bytes of a process that trains one step, and bytes of what a batch is encoded to."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(batch), str(chunk or 0)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(x) for x in done.stdout.split()[-2:]]


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux's /proc")
def test_a_large_batch_takes_the_memory_of_a_chunk_and_of_its_codes():
    # What libraries and tracing take. Not in the process that is measured: in chunks, two images
    # are filled up to a chunk, whose memory would then be taken for that of tracing.
    before, _ = peak(2, None)
    of_chunk = peak(64, None)[0] - before
    of_batch, codes = peak(1024, 64)
    of_batch -= before
    # Codes and patches, and about as much again for gradients and on their way.
    assert of_batch < 1.2 * of_chunk + 4 * codes
    # Sixteen times the chunk would take sixteen times its memory.
    assert of_batch < 4 * of_chunk
