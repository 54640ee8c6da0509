"""What `describe` tells, against sums done by hand and memory that was measured."""

import os
import subprocess
import sys

import keras
import pytest

from cpc_keras import CPCModel
from cpc_keras.encoders import count_flops
from cpc_keras.methods import cpc_pair
from cpc_keras.models import describe
from cpc_keras.models.describe import Scores


def test_candidates_and_predictions_follow_the_grid_as_it_turns():
    # 4 rows and 6 columns of patches.
    model = CPCModel((20, 28, 1), patch_encoder="mlp", offsets=(2, 3), target_dim=16)
    told = describe(model, batch_size=5)
    assert told.scores["down_2"] == Scores(5 * 2 * 6, 5 * 24, 16)
    assert told.scores["up_3"] == Scores(5 * 1 * 6, 5 * 24, 16)
    assert told.scores["left_3"] == Scores(5 * 3 * 4, 5 * 24, 16)
    assert "N = 120 (ln N = 4.79 nats)" in str(told)


@pytest.mark.parametrize(
    ("options", "scores"),
    [
        ({"candidates": "same_position"}, Scores(5 * 5 * 7, 5, 64)),
        ({"candidates": "same_row"}, Scores(5 * 5 * 7, 35, 64)),
        ({"candidates": "other_images"}, Scores(5 * 5 * 7, 4 * 49 + 1, 64)),
        ({"candidates": "sampled", "num_negatives": 9}, Scores(5 * 5 * 7, 10, 64)),
        ({"num_anchors": 50}, Scores(50, 5 * 49, 64)),
        ({"score": "bilinear"}, Scores(5 * 5 * 7, 5 * 49, 128)),
    ],
    ids=str,
)
def test_every_kind_of_candidates_is_told(options, scores):
    model = CPCModel((32, 32, 1), patch_encoder="mlp", offsets=(2,), **options)
    assert describe(model, batch_size=5).scores["down_2"] == scores


def test_operations_are_those_of_the_parts():
    model = CPCModel(
        (16, 16, 1),
        patch_encoder="mlp",
        offsets=(2,),
        directions=("down",),
        target_dim=16,
        context_blocks=1,
        context_filters=8,
    )
    told = describe(model, batch_size=2)
    # A 3 x 3 grid of codes of 128; the one row of contexts that is needed.
    patch = 2 * (64 * 128 + 128 * 128)
    assert count_flops(model.patch_encoder) == patch
    block = 3 * (128 * 8 + 3 * 8 * 8 + 2 * 8 * 8 + 8 * 128)
    heads = 2 * (block + 3 * 128 * 16 + 9 * 128 * 16)
    assert told.image_flops == {
        "patch encoder": 9 * patch,
        "context networks, predictions, targets": heads,
    }
    scores = 2 * (2 * 3) * (2 * 9) * 16
    assert told.step_flops == 3 * (2 * (9 * patch + heads) + scores)


def test_weights_gradients_and_optimizer_are_exact():
    model = CPCModel((32, 32, 3), patch_encoder="tiny", patch_augmentation="light")
    told = describe(model, batch_size=8, optimizer_slots=3)
    model.compile(optimizer=keras.optimizers.Adam(use_ema=True))
    model.optimizer.build(model.trainable_variables)
    weights = sum(v.value.numpy().size for v in model.network.weights)
    state = sum(v.value.numpy().size for v in model.optimizer.variables if len(v.shape))
    assert told.memory["weights"] == 4 * weights
    assert told.memory["optimizer"] == 4 * state
    assert told.memory["gradients"] == 4 * sum(
        v.value.numpy().size for v in model.network.trainable_weights
    )


def test_independent_targets_are_a_second_pass_of_the_encoder():
    options = {"patch_encoder": "mlp", "image_augmentation": keras.layers.RandomRotation(0.1)}
    once, twice = (
        describe(CPCModel((32, 32, 1), independent_targets=independent, **options))
        for independent in (False, True)
    )
    assert twice.image_flops["patch encoder"] == 2 * once.image_flops["patch encoder"]


def test_pairs_are_told_with_and_without_a_head():
    model = cpc_pair((16, 16, 1), encoder="tiny", head=keras.layers.Dense(8))
    told = describe(model, batch_size=6)
    assert told.scores == {"pair": Scores(6, 6, 8)}
    assert told.image_flops == {
        "encoder, both halves": 2 * count_flops(model.encoder),
        "head, both halves": 2 * 2 * 64 * 8,
    }
    clips = describe(cpc_pair((16, 16, 1), encoder="tiny", frame_gap=3), batch_size=6)
    assert clips.image_flops == {"encoder, both halves": 2 * count_flops(model.encoder)}


def test_what_is_no_model_of_ours_is_refused():
    with pytest.raises(
        ValueError, match=r"takes one of CPCModel, .*SemiSupervisedModel\. Received: 'other'"
    ):
        describe(keras.Sequential([keras.Input((2,))], name="other"))
    with pytest.raises(ValueError, match=r"at least 1\. Received: 0"):
        describe(CPCModel((16, 16, 1), patch_encoder="mlp", offsets=(2,)), batch_size=0)


MEASURE = """
import pathlib, re, sys
import keras, numpy as np
from cpc_keras import CPCModel
from cpc_keras.models import describe

encoder, batch, candidates = sys.argv[1], int(sys.argv[2]), sys.argv[3]
model = CPCModel((32, 32, 3), patch_encoder=encoder, candidates=candidates)
told = sum(describe(model, batch_size=batch).memory.values())
model.compile(optimizer="adam")
images = np.zeros((batch, 32, 32, 3), "uint8")
# Not getrusage: its peak begins at that of the process that started this one.
status = pathlib.Path("/proc/self/status")
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])
model.fit(images[:2], batch_size=2, verbose=0)  # what tracing takes
before = peak()
model.fit(images, batch_size=batch, epochs=2, verbose=0)
print((peak() - before) / told)
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux's /proc")
@pytest.mark.parametrize(
    ("encoder", "batch", "candidates"),
    [("tiny", 64, "all"), ("resnet14", 16, "same_position")],
)
def test_the_estimate_of_memory_is_within_a_factor_of_two(encoder, batch, candidates):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, encoder, str(batch), candidates],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0.5 < float(done.stdout.split()[-1]) < 2


def test_chunks_keep_the_activations_of_a_chunk_and_what_all_put_out():
    arguments = {"patch_encoder": "mlp", "offsets": (2,), "directions": ("down",), "target_dim": 16}
    whole, chunks = (
        describe(CPCModel((16, 16, 1), chunk_size=size, **arguments), batch_size=32)
        for size in (None, 4)
    )
    # A 3 x 3 grid: nine patches of 64 pixels, nine targets and three predictions of 16.
    put_together = 4 * 32 * (9 * 64 + 9 * 16 + 3 * 16)
    of_chunk = whole.memory["activations"] / 8
    assert chunks.memory["activations"] == of_chunk + put_together
