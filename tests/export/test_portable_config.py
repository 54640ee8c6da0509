import copy
import json

import keras
import numpy as np

from cpc_keras.export.portable_config import portable_config


def functional(*parts):
    layers = [
        {
            "module": module,
            "class_name": "X",
            "config": {"name": name, "axis": 1},
            "name": name,
            "inbound_nodes": [],
        }
        for module, name in parts
    ]
    return {"module": "keras.src.models.functional", "config": {"layers": layers}}


def names(config):
    return [part["config"].get("name") for part in config["config"]["layers"]]


def test_new_arguments_without_effect_are_left_out_and_nothing_else():
    config = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}
    initializer = {"module": "keras.initializers", "config": {"seed": None, "input_axes": None}}
    config["config"]["kernel_initializer"] = initializer
    config["config"] |= {"quantization_config": None, "bias_regularizer": None}
    before = copy.deepcopy(config)
    assert portable_config(config)["config"] == {
        "units": 3,
        "bias_regularizer": None,
        "kernel_initializer": {"module": "keras.initializers", "config": {"seed": None}},
    }
    assert config == before


def test_a_new_argument_that_has_an_effect_stays():
    kept = {"renorm": True, "renorm_momentum": 0.9, "input_axes": [0]}
    config = {"module": "keras.layers", "config": {**kept, "renorm_clipping": None}}
    assert portable_config(config)["config"] == kept
    zero = {"module": "keras.layers", "config": {"renorm": 0}}
    assert portable_config(zero) == zero


def test_layers_of_others_are_not_touched():
    for module in ("mine.layers", "keras_hub.layers", None):
        config = {"module": module, "config": {"renorm": False}}
        assert portable_config(config) == config


def test_operations_lose_their_names_but_layers_do_not():
    config = functional(("keras.layers", "dense"), ("keras.src.ops.numpy", "flip_1"))
    assert names(portable_config(config)) == ["dense", None]
    assert [part["name"] for part in portable_config(config)["config"]["layers"]] == [
        "dense",
        "flip_1",
    ]


def test_an_operation_whose_new_name_could_be_a_layers_keeps_its_own():
    config = functional(
        ("keras.layers", "reshape"),
        ("keras.src.ops.numpy", "reshape_1"),
        ("keras.src.ops.numpy", "flip"),
    )
    assert names(portable_config(config)) == ["reshape", "reshape_1", None]


def test_this_keras_reads_it(exported, small_model):
    text = (exported / "config.json").read_text()
    assert "quantization_config" not in text and "input_axes" not in text
    assert json.loads(text) == portable_config(json.loads(text))
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 2), "uint8")
    np.testing.assert_array_equal(
        keras.saving.load_model(exported)(images), small_model.encoder(images)
    )
