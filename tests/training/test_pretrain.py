"""pretrain: run directory, resume, refusals."""

import dataclasses
import importlib

import keras
import numpy as np
import pytest
import yaml

from cpc_keras import CPCModel
from cpc_keras.data import image_batches
from cpc_keras.evaluation import result_lock
from cpc_keras.methods import METHODS
from cpc_keras.training import RECIPES, Recipe, load_newest, pretrain, read_metrics

# The module; its name is also that of the function.
pretraining = importlib.import_module("cpc_keras.training.pretrain")

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), "uint8")
RECIPE = Recipe(
    model={
        "patch_augmentation": "light",
        "patch_encoder": "tiny",
        "patch_size": 4,
        "patch_stride": 4,
        "offsets": (1, 2),
        "directions": ("down", "right"),
        "context_blocks": 1,
        "context_filters": 8,
        "candidates": "sampled",
        "num_negatives": 20,
    },
    num_epochs=3,
    batch_size=8,
    seed=3,
)


def _pretrain(directory, recipe=RECIPE, **kwargs):
    return pretrain(
        lambda: CPCModel((16, 16, 1), seed=recipe.seed, **recipe.model),
        IMAGES,
        run_directory=directory,
        recipe=recipe,
        held_out_images=IMAGES[:8],
        **kwargs,
    )


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "whole"
    return directory, _pretrain(directory)


def test_a_run_directory_holds_config_metrics_and_checkpoint(whole_run):
    directory, _ = whole_run
    config = yaml.safe_load((directory / "config.yaml").read_text())
    assert config["model"]["offsets"] == [1, 2]
    rows = read_metrics(directory / "metrics.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {"loss", "accuracy", "mutual_information", "val_loss"} <= set(rows[0])
    assert (directory / "checkpoints" / "epoch-0003.keras").exists()


def test_a_finished_run_is_loaded_and_not_trained_again(whole_run, monkeypatch):
    directory, whole = whole_run
    monkeypatch.setattr(CPCModel, "fit", lambda *a, **k: pytest.fail("trained again"))
    again = _pretrain(directory)
    np.testing.assert_array_equal(again.get_weights()[0], whole.get_weights()[0])


def test_a_directory_with_other_settings_is_refused(whole_run):
    with pytest.raises(FileExistsError, match=r"other settings \(batch_size differ"):
        _pretrain(whole_run[0], dataclasses.replace(RECIPE, batch_size=4))


def test_a_run_is_not_made_longer_and_why_is_said(whole_run):
    message = r"other settings \(num_epochs differ.*With more epochs a run is another one"
    with pytest.raises(FileExistsError, match=message):
        _pretrain(whole_run[0], dataclasses.replace(RECIPE, num_epochs=4))


def _fail_to_build(directory, recipe, **kwargs):
    def build():
        raise LookupError("no such encoder")

    with pytest.raises(LookupError, match="no such encoder"):
        pretrain(build, IMAGES, run_directory=directory, recipe=recipe, **kwargs)


def test_settings_that_no_model_could_be_built_of_give_way_to_others(tmp_path, capsys):
    other = dataclasses.replace(RECIPE, batch_size=4)
    _fail_to_build(tmp_path, RECIPE, facts={"init": "misspelt"})
    _fail_to_build(tmp_path, other, facts={"init": "right"})
    assert "are replaced, and kept as config.replaced.yaml" in capsys.readouterr().out
    told = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (told["init"], told["batch_size"]) == ("right", 4)
    kept = yaml.safe_load((tmp_path / "config.replaced.yaml").read_text())
    assert (kept["init"], kept["batch_size"]) == ("misspelt", 8)
    # Of a run that somebody else is just about to begin they do not.
    with (
        result_lock(tmp_path / ".lock"),
        pytest.raises(FileExistsError, match="batch_size, init differ"),
    ):
        pretrain(None, IMAGES, run_directory=tmp_path, recipe=RECIPE)
    # Nor where there is anything else.
    (tmp_path / "metrics.csv").write_text("")
    with pytest.raises(FileExistsError, match="batch_size, init differ"):
        pretrain(None, IMAGES, run_directory=tmp_path, recipe=RECIPE)


def test_settings_that_somebody_wrote_are_not_replaced(tmp_path):
    (tmp_path / "config.yaml").write_text("batch_size: 4\n")
    with pytest.raises(FileExistsError, match="other settings"):
        _pretrain(tmp_path)
    assert (tmp_path / "config.yaml").read_text() == "batch_size: 4\n"


def test_a_directory_that_is_no_run_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is no run of cpc-keras"):
        _pretrain(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_fewer_images_than_a_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match="20 images do not fill one batch of 32"):
        _pretrain(tmp_path / "run", dataclasses.replace(RECIPE, batch_size=32))


def test_the_average_of_the_weights_is_what_a_run_gives_also_when_called_again(tmp_path):
    recipe = dataclasses.replace(
        RECIPE,
        model={**RECIPE.model, "patch_encoder": "mlp"},
        num_epochs=2,
        optimizer="adam",
        optimizer_options={"use_ema": True, "ema_momentum": 0.9, "beta_1": 0.8},
        schedule="constant",
    )
    model = _pretrain(tmp_path / "run", recipe)
    assert type(model.optimizer).__name__ == "Adam" and model.optimizer.beta_1 == 0.8
    averages = model.optimizer._model_variables_moving_average
    for weight, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(weight.value, average.value)
    again = _pretrain(tmp_path / "run", recipe)
    newest = load_newest(tmp_path / "run")
    for other in (again, newest):
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_held_out_images_do_not_judge_methods_with_labels(tmp_path):
    # Without their labels nothing is left to measure: it would be zero.
    recipe = Recipe(num_epochs=1, batch_size=8)
    pretrain(
        lambda: METHODS["supervised"]((16, 16, 1), num_classes=2, encoder="mlp"),
        IMAGES,
        run_directory=tmp_path / "run",
        recipe=recipe,
        held_out_images=IMAGES[:8],
        labels=np.arange(20) % 2,
        labeled_index=np.arange(20),
    )
    (row,) = read_metrics(tmp_path / "run" / "metrics.csv")
    assert "accuracy" in row and not [name for name in row if name.startswith("val_")]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"optimizer": "adagrad"}, "'adamw', 'adam'.*'adagrad'"),
        ({"schedule": "step"}, "cosine.*'step'"),
    ],
)
def test_unknown_optimizers_and_schedules_are_refused(setting, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        _pretrain(tmp_path / "run", dataclasses.replace(RECIPE, **setting))


@pytest.mark.slow
def test_a_recipe_that_crops_trains_on_parts_and_measures_centres(tmp_path):
    seen = []

    class Watched(CPCModel):
        def call(self, inputs, training=False):
            seen.append(tuple(inputs["image"].shape[1:]))
            return super().call(inputs, training=training)

    model = {**RECIPE.model, "patch_encoder": "mlp"}
    recipe = dataclasses.replace(RECIPE, model=model, crop_size=16, flip=True, num_epochs=1)
    images = np.random.default_rng(0).integers(0, 256, (16, 20, 18, 1), "uint8")
    pretrain(
        lambda: Watched((16, 16, 1), seed=0, **recipe.model),
        images,
        run_directory=tmp_path / "run",
        recipe=recipe,
        held_out_images=images[:8],
    )
    assert set(seen) == {(16, 16, 1)}
    assert "val_loss" in read_metrics(tmp_path / "run" / "metrics.csv")[0]


class Seen(Exception):
    pass


@pytest.fixture
def first_batch(monkeypatch, tmp_path):
    """The first batch that a model gets by a recipe."""

    def look(model, batches, **options):
        raise Seen({name: np.asarray(value) for name, value in next(iter(batches)).items()})

    def first(recipe, **given):
        method = METHODS[recipe.method]
        options = {"num_classes": 2, "encoder": "mlp"} if given else RECIPE.model
        model = method((16, 16, 1), **options)
        monkeypatch.setattr(type(model), "fit", look)
        with pytest.raises(Seen) as caught:
            pretrain(
                lambda: model,
                IMAGES,
                run_directory=tmp_path / f"{len(list(tmp_path.iterdir()))}",
                recipe=recipe,
                **given,
            )
        return caught.value.args[0]

    return first


def test_the_seed_of_a_recipe_draws_the_batches_and_flip_mirrors_them(first_batch):
    for seed, flip in ((3, False), (4, True)):
        found = first_batch(dataclasses.replace(RECIPE, seed=seed, flip=flip))
        expected = next(iter(image_batches(IMAGES, batch_size=8, seed=seed, flip=flip)))
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name])
        assert (found["image"] != IMAGES[found["index"]]).any() == flip


@pytest.mark.parametrize(("ratio", "count"), [(1, 4), (3, 2)])
def test_batches_have_as_many_labels_as_the_ratio_leaves(first_batch, ratio, count):
    recipe = Recipe(method="pseudo_label", batch_size=8, unlabeled_ratio=ratio)
    found = first_batch(recipe, labels=np.arange(20) % 2, labeled_index=np.arange(10))
    assert (found["label"] >= 0).sum() == count
    # One that makes nothing of others gets labelled images alone.
    recipe = dataclasses.replace(recipe, method="supervised")
    found = first_batch(recipe, labels=np.arange(20) % 2, labeled_index=np.arange(10))
    assert (found["label"] >= 0).all()


def test_the_rate_rises_for_the_share_of_the_steps_that_a_recipe_tells():
    rate = pretraining._rate(Recipe(num_epochs=2, learning_rate=1.0, warmup=0.5), 50)
    found = [float(rate(step)) for step in (0, 25, 50, 75, 100)]
    np.testing.assert_allclose(found, [0, 0.5, 1, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_a_method_an_optimizer_and_a_schedule_that_exist(name):
    recipe = RECIPES[name]
    assert recipe.method in METHODS
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    pretraining._compile(model, recipe, 100)
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    expected = recipe.learning_rate if recipe.schedule == "constant" else 0.0
    assert rate == pytest.approx(expected)


def test_the_papers_sgd_decays_weights_as_a_penalty_in_the_loss_does():
    options = RECIPES["rotation_imagenet"].optimizer_options
    optimizer = keras.optimizers.SGD(0.1, **options)
    weight = keras.Variable([1.0])
    optimizer.build([weight])
    expected, velocity = 1.0, 0.0
    for _ in range(300):
        optimizer.apply([keras.ops.zeros(1)])
        velocity = 0.9 * velocity + 5e-4 * expected  # the paper's, as part of the gradient
        expected -= 0.1 * velocity
    assert expected < 0.9
    np.testing.assert_allclose(weight.value, [expected], rtol=6e-3)


def test_s4l_recipes_count_passes_over_the_labelled_images():
    for name in ("supervised", "pseudo_label", "vat", "vat_entropy", "rotation_joint"):
        recipe = RECIPES[f"{name}_imagenet"]
        assert recipe.num_epochs * recipe.steps_per_epoch == 100_000
        # 256 labelled images a step.
        assert recipe.batch_size // (1 + recipe.unlabeled_ratio) == 256


def test_pseudo_labels_wait_until_the_warm_up_is_over_and_rise_in_the_first_half():
    recipe = RECIPES["pseudo_label_imagenet"]
    num_steps = recipe.num_epochs * recipe.steps_per_epoch
    first, last = recipe.model["ramp"]
    assert recipe.warmup * num_steps < first == num_steps // 10 and last == num_steps // 2


def test_weights_that_a_callback_puts_back_at_the_end_are_those_of_the_run(tmp_path):
    class Best(keras.callbacks.Callback):
        """As EarlyStopping does with restore_best_weights: the first epoch was the best."""

        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.best = self.model.get_weights()
            self.model.stop_training = epoch == 1

        def on_train_end(self, logs=None):
            self.model.set_weights(self.best)

    model = _pretrain(tmp_path / "run", callbacks=[Best()])
    again = _pretrain(tmp_path / "run", callbacks=[Best()])
    for other in (again, load_newest(tmp_path / "run")):
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
