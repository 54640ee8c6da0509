"""One table: what every method must do. A method that is not in it fails.

A row is a small form of a method: its options, and where something cannot hold, the reason.
"""

import dataclasses
import functools
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import cpc_keras.methods
from cpc_keras.cli.change_recipe import change_recipe
from cpc_keras.methods import METHODS, model_of, needs_labels
from cpc_keras.models import PretrainingModel
from cpc_keras.models.describe import describe
from cpc_keras.training import Recipe, pretrain
from cpc_keras.training.checkpoint_schedule import CheckpointSchedule

DOCS = pathlib.Path(__file__).parents[2] / "docs"
SIDE = 16
BATCH, CLASSES = 8, 3

CPC = {
    "patch_encoder": "mlp",
    "patch_size": 4,
    "patch_stride": 2,
    "offsets": (2,),
    # One direction of four: the graph of each takes seconds to build.
    "directions": ("down",),
    "context_blocks": 1,
    "context_filters": 8,
    # What is drawn anew in every step is not learned by heart in few.
    "patch_augmentation": None,
}
DRAWS_VIEWS = "views are drawn for a share of the batch, not for the whole"
SAME_MODEL = "a CPCModel, as cpc is"


@dataclasses.dataclass(frozen=True)
class Row:
    """A small form of a method.

    Attributes:
        options: arguments beside image shape, classes and seed.
        learned: share of the first loss that is left after learning a batch by heart.
        num_steps, learning_rate: of Adam, for that.
        no_parity: why two replicas need not train as one, or "".
        eager: whether a step without a graph is faster than to build it.
        resumed: whether it stands for its model, or for what its steps draw or count, among runs
            that are stopped.
    """

    options: dict
    learned: float = 0.5
    num_steps: int = 60
    learning_rate: float = 3e-3
    no_parity: str = ""
    eager: bool = True
    resumed: bool = False


SMALL = {"encoder": "mlp"}
# An encoder that takes tiles of any size.
TILES = {"encoder": "tiny", "hidden_dims": (32,)}
ROWS = {
    "cpc": Row(CPC, learned=0.8, resumed=True),
    "cpc_v1": Row({**CPC, "context_blocks": 2}, learned=0.8, no_parity=SAME_MODEL),
    "cpc_v2": Row(CPC, learned=0.9, no_parity=SAME_MODEL),
    "cpc_pair": Row(SMALL, learned=0.6, no_parity=DRAWS_VIEWS),
    # Its own augmentation leaves too little of eight images to learn them in so few steps.
    "simclr": Row(
        {**SMALL, "image_augmentation": "photos"},
        learned=0.9,
        no_parity=DRAWS_VIEWS,
        resumed=True,
    ),
    "supervised": Row(SMALL),
    "pseudo_label": Row({**SMALL, "ramp": (2, 6)}, resumed=True),
    "vat": Row(
        {**SMALL, "entropy_minimization": True},
        learned=0.7,
        no_parity="directions to begin with are drawn for a share of the batch",
        eager=False,
        resumed=True,
    ),
    "rotation_joint": Row(SMALL, learned=0.7),
    "rotation": Row(SMALL),
    # What is drawn anew in every step, and a code of its own for each tile, takes longer.
    # Tiles that hold more than one patch of color: normalization takes a single color away.
    "relative_position": Row(
        {**TILES, "tile_size": 5, "spacing": 5, "jitter": 0},
        learned=0.8,
        num_steps=140,
        no_parity=DRAWS_VIEWS,
    ),
    "jigsaw": Row(
        {**TILES, "num_permutations": 4}, learned=0.9, no_parity=DRAWS_VIEWS, resumed=True
    ),
    "instance_discrimination": Row(
        {**SMALL, "num_images": 32, "dim": 8, "image_augmentation": None}, resumed=True
    ),
}
NAMES = sorted(ROWS)


def test_every_method_is_in_the_table():
    assert set(ROWS) == set(METHODS), "one line of ROWS for each method of METHODS"
    public = {name for name in METHODS if name != "cpc"}
    assert public <= set(cpc_keras.methods.__all__), "methods/__init__.py exports every method"
    resumed = {model_of(METHODS[name]) for name in NAMES if ROWS[name].resumed}
    assert resumed == {model_of(METHODS[name]) for name in NAMES}, "one of each model is stopped"


def test_every_method_stands_in_the_table_of_the_page_of_methods():
    page = DOCS.joinpath("methods.md").read_text(encoding="utf-8")
    table = page.partition("| `--method` |")[2].partition("\n\n")[0]
    assert {*METHODS} == {*METHODS} & {*table.split("`")}, "a line in docs/methods.md, 'Train one'"


def build(name, channels=1, **options):
    method = METHODS[name]
    classes = {"num_classes": CLASSES} if needs_labels(method) else {}
    options = {"seed": 0, **classes, **ROWS[name].options, **options}
    return method((SIDE, SIDE, channels), **options)


@functools.cache
def shared(name):
    """For tests that leave its weights as they are."""
    return build(name)


def batch(name, channels=1, count=BATCH):
    """Coarse patterns, of which a part can be recognised; half of them with a label."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 4, 4, channels), "uint8")
    labels = np.where(np.arange(count) % 2, -1, np.arange(count) // 2 % CLASSES)
    return {
        "image": coarse.repeat(4, axis=1).repeat(4, axis=2),
        "label": labels if needs_labels(METHODS[name]) else np.full(count, -1),
        "index": np.arange(count),
    }


def losses(model, name, channels=1, epochs=1, count=BATCH):
    data = batch(name, channels, count)
    fitted = model.fit(data, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0)
    return fitted.history["loss"]


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_a_batch_by_heart_and_comes_back_from_a_file(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = build(name)
    model.compile(optimizer=keras.optimizers.Adam(ROWS[name].learning_rate))
    found = losses(model, name, epochs=ROWS[name].num_steps)
    assert np.isfinite(found).all()
    assert np.mean(found[-5:]) < ROWS[name].learned * np.mean(found[:2]), found[::10]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    for a, b in zip(model.variables, again.variables, strict=True):
        if "seed_generator" not in a.path:  # Keras's files do not hold them; see `EpochSeeds`
            np.testing.assert_array_equal(a, b, err_msg=a.path)
    assert int(again.optimizer.iterations) == ROWS[name].num_steps
    assert int(model.optimizer.iterations) == ROWS[name].num_steps


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_on_three_channels(name):
    model = build(name, 3)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), run_eagerly=ROWS[name].eager)
    assert np.isfinite(losses(model, name, 3)).all()
    features = model.encoder(batch(name, 3)["image"])
    assert features.shape == (BATCH, model.encoder.output_shape[-1])
    assert features.dtype == "float32"


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_comes_back_from_the_config(name):
    model = shared(name)
    # Through JSON, as in a file; Keras empties what it reads.
    text = json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True)
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert isinstance(again, PretrainingModel)
    assert json.dumps(keras.saving.serialize_keras_object(again), sort_keys=True) == text
    assert [v.shape for v in again.variables] == [v.shape for v in model.variables]
    assert again.get_config().keys() == model.get_config().keys()


@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_trains_and_gives_float32(name):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build(name)
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(optimizer=keras.optimizers.Adam(1e-3), run_eagerly=ROWS[name].eager)
    before = model.get_weights()
    assert np.isfinite(losses(model, name)).all()
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    assert model.encoder(batch(name)["image"]).dtype == "float32"
    assert any(layer.compute_dtype == "bfloat16" for layer in model.encoder._flatten_layers())


@pytest.mark.parametrize("name", NAMES)
def test_held_out_images_are_judged_where_the_model_says_so(name):
    model = shared(name)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), run_eagerly=True)
    if not model.judges_held_out:
        pytest.skip("judges_held_out is False")
    unseen = {**batch(name), "index": 1000 + np.arange(BATCH)}
    found = model.evaluate(unseen, batch_size=BATCH, return_dict=True, verbose=0)
    assert np.isfinite(list(found.values())).all(), "set judges_held_out = False in the model"


@pytest.mark.parametrize("name", NAMES)
def test_the_mutual_information_is_logged_where_the_model_says_so(name):
    logged = [metric.name for metric in shared(name).metrics]
    assert ("mutual_information" in logged) == model_of(METHODS[name]).bounds_information


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_describes_it_and_changes_its_settings(name):
    model = shared(name)
    # An error here asks for the model in KINDS of models/describe.py.
    told = describe(model, batch_size=BATCH)
    assert told.step_flops > 0 and f"{SIDE}x{SIDE}x1" in str(told)
    encoder = "patch_encoder" if "patch_encoder" in ROWS[name].options else "encoder"
    changed = change_recipe(Recipe(method=name), {f"model.{encoder}": "tiny"})
    assert changed.model == {encoder: "tiny"}


class StopAfter(keras.callbacks.Callback):
    """Ends a run from outside once a step is over."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if ROWS[name].resumed])
def test_a_stopped_run_ends_as_one_that_was_never_stopped(name, tmp_path):
    data = batch(name, count=32)
    known = np.flatnonzero(data["label"] >= 0)
    given = {"labels": data["label"], "labeled_index": known} if len(known) else {}
    recipe = Recipe(method=name, num_epochs=2, batch_size=BATCH, seed=1)

    def run(directory, **options):
        return pretrain(
            lambda: build(name),
            data["image"],
            run_directory=tmp_path / directory,
            recipe=recipe,
            checkpoints=CheckpointSchedule(steps=1),
            **given,
            **options,
        )

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("stopped", callbacks=[StopAfter(5)])
    assert list((tmp_path / "stopped" / "checkpoints").iterdir())
    for a, b in zip(whole.get_weights(), run("stopped").get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


PARITY = """
import json
import sys

import tensorflow as tf

number = int(sys.argv[1])
(cpu,) = tf.config.list_physical_devices("CPU")
devices = [tf.config.LogicalDeviceConfiguration()] * number
tf.config.set_logical_device_configuration(cpu, devices)
sys.path.insert(0, sys.argv[2])
import keras
import numpy as np
import test_conformance as table

strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(number)])
told = {}
for name in table.NAMES:
    if table.ROWS[name].no_parity:
        continue
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = table.build(name)
        model.compile(optimizer=keras.optimizers.SGD(0.05))
    data = tf.data.Dataset.from_tensor_slices(table.batch(name, count=32)).batch(table.BATCH)
    history = model.fit(data, epochs=2, shuffle=False, verbose=0).history
    told[name] = {"history": history, "weights": [w.tolist() for w in model.get_weights()]}
print(json.dumps(told))
"""


@pytest.mark.slow
def test_two_replicas_train_as_one():
    folder = __file__.rpartition("/")[0]

    def run(number):
        command = [sys.executable, "-c", PARITY, str(number), folder]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    one, two = run(1), run(2)
    assert set(one) == {name for name in NAMES if not ROWS[name].no_parity}
    for name, expected in one.items():
        for key, values in expected["history"].items():
            np.testing.assert_allclose(
                two[name]["history"][key], values, rtol=1e-4, atol=1e-5, err_msg=f"{name} {key}"
            )
        for a, b in zip(two[name]["weights"], expected["weights"], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5, err_msg=name)
