"""Several replicas train as one does with the whole batch."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="strategies are TensorFlow's")

BEGIN = """
import json
import os
import sys
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
number = json.loads(sys.argv[1])
devices = [tf.config.LogicalDeviceConfiguration()] * number
tf.config.set_logical_device_configuration(cpu, devices)
import keras

strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(number)])
"""

# TensorFlow's threads of a strategy may crash while Python takes itself down.
END = """
print(json.dumps(told), flush=True)
os._exit(0)
"""

TRAIN = (
    BEGIN
    + """
from cpc_keras import CPCModel

images = np.random.default_rng(0).integers(0, 256, (160, 16, 16, 1), "uint8")
told = []
for arguments in json.loads(sys.argv[2]):
    keras.mixed_precision.set_dtype_policy(arguments.pop("policy", "float32"))
    regularizer = arguments.pop("regularizer", None)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        encoder = "mlp" if regularizer is None else keras.Sequential([
            keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(),
            keras.layers.Dense(8, kernel_regularizer=regularizer)])
        model = CPCModel((16, 16, 1), patch_encoder=encoder, offsets=(2,), context_blocks=1,
                         context_filters=8, patch_augmentation=None, seed=1, **arguments)
        model.compile(optimizer=keras.optimizers.SGD(0.2))
    history = model.fit(images, batch_size=8, shuffle=False, verbose=0).history
    measured = model.evaluate(images[:16], batch_size=8, verbose=0, return_dict=True)
    told.append({"fit": history, "evaluate": measured,
                 "terms": np.asarray(model.term_losses).tolist(),
                 "weights": np.concatenate([w.ravel() for w in model.get_weights()]).tolist()})
"""
    + END
)

SCORE = (
    BEGIN
    + """
from cpc_keras.losses import InfoNCE, NTXent
from cpc_keras.ops import num_replicas

targets, first, second = np.random.default_rng(0).normal(size=(3, 8, 4, 3, 5)).astype("float32")
grids = (targets, first[:, 1:], second[:, 2:])
told = []
for options in json.loads(sys.argv[2]):
    with strategy.scope():  # where its draws are the same in all replicas
        pairs = options.pop("nt_xent", False)
        loss = NTXent(0.5) if pairs else InfoNCE(0.7, seed=3, **options)

    def value_and_gradients(targets, first, second):
        with tf.GradientTape() as tape:
            tape.watch((targets, first, second))
            if pairs:
                terms = {"pair": loss.contrast(targets[:, 0, 0], first[:, 0, 0] + second[:, 0, 0])}
                value = tf.reduce_mean(terms["pair"].loss)
            else:
                predictions = {("down", 1): first, ("down", 2): second}
                value, terms = loss.contrast_grid(targets, predictions)
            value /= num_replicas()
        hits = [tf.reduce_mean(term.correct) for term in terms.values()]
        counted = [tf.reduce_mean(term.log_num_candidates) for term in terms.values()]
        return value, tape.gradient(value, (targets, first, second)), hits, counted

    @tf.function
    def run(*grids):
        return strategy.run(value_and_gradients, grids)

    def share(x):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.split(x, number)[context.replica_id_in_sync_group])

    value, gradients, hits, counted = run(*map(share, grids))
    parts = strategy.experimental_local_results
    together = [np.concatenate(parts(g)).ravel().tolist() for g in gradients]
    told.append([float(sum(parts(value))), *together,
                 *[float(np.mean(parts(x))) for x in (*hits, *counted)]])
"""
    + END
)

KINDS = [
    {},
    {"candidates": "other_images"},
    {"candidates": "same_position"},
    {"candidates": "same_row"},
    {"candidates": "sampled", "num_negatives": 12},
]


def _run(script, number, arguments):
    """What a script prints in a process of its own: its replicas cannot become others."""
    command = [sys.executable, "-c", script, json.dumps(number), json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_two_replicas_score_the_candidates_of_the_whole_batch_with_its_gradients():
    _assert_same_scores(2, [KINDS[0], KINDS[-1], {"nt_xent": True}])


@pytest.mark.slow
def test_four_replicas_score_the_candidates_of_the_whole_batch_with_its_gradients():
    _assert_same_scores(4, [*KINDS, {"similarity": "cosine"}, {"nt_xent": True}])


def _assert_same_scores(number, options):
    together, alone = (_run(SCORE, n, options) for n in (number, 1))
    for option, found, one in zip(options, together, alone, strict=True):
        assert np.abs(one[1]).max() > 1e-4
        for a, b in zip(found, one, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7, err_msg=str(option))


@pytest.mark.slow
def test_what_is_not_gathered_and_what_each_replica_draws():
    options = [{"gather_candidates": False}, {"gather_candidates": True}, {"num_anchors": 8}]
    alone, gathered, anchors = _run(SCORE, 4, options)
    # ln N, for 2 images of 4 x 3 targets in each of 4 replicas.
    np.testing.assert_allclose(alone[-2:], np.log(2 * 12), rtol=1e-6)
    np.testing.assert_allclose(gathered[-2:], np.log(8 * 12), rtol=1e-6)
    assert alone[0] < gathered[0]
    # A prediction that was not drawn has no gradient; 2 of 8 are a replica's.
    drawn = np.reshape(anchors[2], (4, -1, 5)).any(axis=-1)
    np.testing.assert_array_equal(drawn.sum(axis=1), 2)


# What is scored against what has its own tests above; here are the ways in which training differs.


@pytest.mark.slow
def test_twenty_steps_of_two_replicas_are_those_of_one():
    tried = [
        {"chunk_size": 2, "regularizer": "l2"},
        {"candidates": "sampled", "num_negatives": 30},
        {"candidates": "same_row", "log_terms": True},
        {"policy": "mixed_float16"},  # with a scaled loss
    ]
    _assert_same(2, tried)


@pytest.mark.slow
def test_twenty_steps_of_four_replicas_are_those_of_one():
    _assert_same(4, [{}, {"candidates": "same_position"}, {"policy": "mixed_bfloat16"}])


def _assert_same(number, tried):
    """Rounding that twenty steps have made larger is all that differs."""
    for arguments, one, found in zip(
        tried, _run(TRAIN, 1, tried), _run(TRAIN, number, tried), strict=True
    ):
        tolerance = 5e-3 if "policy" in arguments else 2e-5
        assert found["fit"].keys() == one["fit"].keys()
        for part in ("fit", "evaluate"):
            for name, value in one[part].items():
                _assert_close(found[part][name], value, tolerance, (arguments, name))
        for part in ("terms", "weights"):
            _assert_close(found[part], one[part], tolerance, (arguments, part))


def _assert_close(found, expected, tolerance, told):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=str(told))
