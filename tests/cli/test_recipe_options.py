"""Settings from files and options: what wins, what is refused, what repeats a run."""

import dataclasses

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from cpc_keras.cli.change_recipe import change_recipe
from cpc_keras.cli.options import data_options
from cpc_keras.cli.pretrain import pretrain
from cpc_keras.cli.recipe_options import chosen_recipe, recipe_options
from cpc_keras.training import RECIPES, Recipe


@click.command()
@data_options
@recipe_options
@click.pass_context
def command(ctx, chosen, recipe, config, settings, **named):
    """Give what was chosen to the test."""
    found = chosen_recipe(recipe, config, settings, **named)
    ctx.obj.append((found, chosen.data, chosen.image_size, chosen.channels, chosen))


def choose(*arguments):
    """The recipe and the data that options name; an error is its message."""
    found = []
    result = CliRunner().invoke(command, [str(a) for a in arguments], obj=found)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return found[0] if found else result.output


def written(tmp_path, settings):
    path = tmp_path / "settings.yaml"
    path.write_text(settings if isinstance(settings, str) else yaml.safe_dump(settings))
    return path


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_run_writes_as_its_settings_repeats_it(name, tmp_path):
    recipe = RECIPES[name]
    settings = dataclasses.asdict(recipe)
    settings = {**settings, "data": "mnist_5k", "image_size": 28, "channels": "1"}
    found = choose("--config", written(tmp_path, settings))
    expected = dataclasses.replace(recipe, image_size=None, channels=None)
    assert dataclasses.replace(found[0], image_size=None, channels=None) == expected
    assert found[1:4] == ("mnist_5k", 28, "1")


def test_a_run_of_a_method_with_labels_is_repeated_with_its_share_of_them(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "cpc_keras.cli.pretrain.pretrain_and_export",
        lambda splits, recipe, out, **options: seen.append(options) or out,
    )
    images, out = np.zeros((20, 8, 8, 1), "uint8"), tmp_path / "run"
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(20) % 2)
    facts = {"data": str(tmp_path / "a.npz"), "label_fraction": 0.3, "test_fraction": 0.1}
    told = {**dataclasses.asdict(Recipe(method="supervised")), **facts}
    path = written(tmp_path, {**told, "num_labels": 6, "labels": "1234", "groups": None})
    result = CliRunner().invoke(pretrain, ["--config", str(path), "--out", str(out)])
    assert result.exception is None, result.output
    assert seen[0]["label_fraction"] == 0.3
    assert {name: seen[0]["facts"][name] for name in facts} == facts


def test_options_replace_the_file_which_replaces_the_recipe(tmp_path):
    path = written(
        tmp_path,
        "recipe: mnist_5k\ndata: here\nnum_epochs: 7\nlearning_rate: 1e-3\n"
        "model.context_blocks: 5\nmodel.context_filters: 9\n",
    )
    recipe, data, *_ = choose(
        *("--config", path, "--data", "there", "--epochs", 8, "--flip", "--precision"),
        *("mixed_bfloat16", "--set", "model.context_filters=10", "--set", "warmup=1e-1"),
        *("--set", "optimizer_options={weight_decay: 0.5}", "--optimizer", "lamb"),
    )
    assert data == "there"
    assert recipe == dataclasses.replace(
        RECIPES["mnist_5k"],
        num_epochs=8,
        learning_rate=1e-3,
        flip=True,
        precision="mixed_bfloat16",
        warmup=0.1,
        optimizer="lamb",
        optimizer_options={"weight_decay": 0.5},
        model={**RECIPES["mnist_5k"].model, "context_blocks": 5, "context_filters": 10},
    )


def test_batches_may_be_without_unlabelled_images():
    recipe, *_ = choose("--data", "x", "--unlabeled-ratio", 0)
    assert recipe.unlabeled_ratio == 0


def test_every_setting_of_a_recipe_has_an_option():
    names = {parameter.name for parameter in pretrain.params}
    nested = {"model", "optimizer_options"}  # --set
    assert {field.name for field in dataclasses.fields(Recipe)} - nested <= names


def test_the_settings_of_a_demo_repeat_it_unless_it_was_a_smoke_test(tmp_path):
    settings = {**dataclasses.asdict(RECIPES["mnist_5k"]), "data": "mnist_5k", "budget": "full"}
    assert choose("--config", written(tmp_path, settings))[:2] == (RECIPES["mnist_5k"], "mnist_5k")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "x", "num_epoch": 3}, "no setting num_epoch. Did you mean num_epochs?"),
        ({"data": "x", "budget": "smoke"}, "no setting budget"),
        ("[1, 2]", "no settings by name"),
        ("a: [", "is no YAML"),
        ({"num_epochs": 3}, "Missing option '--data'"),
        ({"data": "x", "recipe": "mnist"}, "'mnist' is not one of"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(settings, message, tmp_path):
    assert message in choose("--config", written(tmp_path, settings)).replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model.contxt_blocks", 3, "model.contxt_blocks. Did you mean model.context_blocks?"),
        ("optimizer_options.use_emma", True, "Did you mean optimizer_options.use_ema?"),
        ("learning_rat", 1.0, "Did you mean learning_rate?"),
        ("num_epochs", 1.5, "num_epochs is a whole number. Received: 1.5"),
        ("num_epochs", True, "num_epochs is a whole number. Received: True"),
        ("flip", "yes", "flip is true or false"),
        ("learning_rate", "fast", "learning_rate is a number"),
        ("model", 3, "model is settings by name"),
        ("seed.x", 3, "seed holds no further settings"),
        ("method", "cpc_v3", r"no method cpc_v3. Did you mean cpc_v"),
        ("optimizer", "adamx", "no optimizer adamx. Did you mean adam"),
    ],
)
def test_a_setting_that_is_none_is_refused_with_the_nearest_name(name, value, message):
    with pytest.raises(ValueError) as caught:
        change_recipe(Recipe(), {name: value})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_holds_only_settings_that_are_known(name):
    assert change_recipe(RECIPES[name], {}) == RECIPES[name]


def test_arguments_of_the_method_that_is_passed_on_are_known():
    settings = {"method": "cpc_v2", "model.patch_size": 64, "optimizer_options.beta_1": 0.8}
    assert change_recipe(Recipe(), settings).model == {"patch_size": 64}
