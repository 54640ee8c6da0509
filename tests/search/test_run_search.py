import csv
import dataclasses
import json

import keras
import keras_tuner
import numpy as np
import pytest
import yaml

from cpc_keras.data import ImageData
from cpc_keras.search import CPCHyperModel, probe_score, run_search, trials_table
from cpc_keras.training import RECIPES, Recipe

SHAPE = (16, 16, 1)


def some_data(num=16):
    rng = np.random.default_rng(0)
    labels = np.arange(num) % 2
    images = rng.integers(0, 60, (num, *SHAPE)) + 150 * labels[:, None, None, None]
    return ImageData(images.astype("uint8"), labels=labels)


class Quick(CPCHyperModel):
    """The same space and scores, made up from the settings in place of trained."""

    broken = ()
    fitted = None

    def build(self, hp):
        self.recipe(hp)

    def fit(self, hp, model, images, labels, *, groups, run_directory):
        recipe = self.recipe(hp)
        trial = run_directory.name
        if self.fitted is not None:
            self.fitted.append(trial)
        if trial in self.broken:
            raise FloatingPointError(f"the loss of trial {trial} is NaN")
        return {"probe_accuracy": score_of(recipe), "loss": -score_of(recipe)}


def score_of(recipe):
    return 1 / (1 + recipe.model["scale"])


FACTS = {"data": "made up", "image_size": 16, "channels": 1}


def search(directory, *, hypermodel=None, num_trials=4, **options):
    hypermodel = hypermodel or Quick(SHAPE)
    options = {"facts": FACTS, **options}
    return run_search(
        hypermodel, some_data(), directory=directory, num_trials=num_trials, **options
    )


def test_every_point_of_the_space_is_a_model(monkeypatch):
    hypermodel = CPCHyperModel((12, 20, 3), widths=(4, 8), depths=(1, 2))
    oracle = keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective("probe_accuracy", "max"), max_trials=40, seed=1
    )
    tuner = keras_tuner.Tuner(oracle, Quick((12, 20, 3)), directory="x", project_name="y")
    seen = set()
    for number in range(12):
        trial = oracle.create_trial(f"tuner{number}")
        model = hypermodel.build(trial.hyperparameters)
        recipe = hypermodel.recipe(trial.hyperparameters)
        size, stride = recipe.model["patch_size"], recipe.model["patch_stride"]
        assert min(recipe.model["offsets"]) * stride >= size
        assert model.patch_encoder.output_shape[-1] == 4 * recipe.model["encoder_width"]
        seen.add((size, stride, tuple(recipe.model["offsets"])))
    assert len(seen) > 3
    assert tuner.oracle is oracle


@pytest.mark.parametrize("name", ["mnist_5k", "cifar10"])
def test_a_recipe_to_start_from_leaves_no_point_that_is_refused(name):
    hypermodel = CPCHyperModel((28, 28, 1), base=RECIPES[name], widths=(4,), depths=(1,))
    coarsest = max(hypermodel.geometries, key=lambda name: int(name.split("/")[1]))
    for augmentation in ("none", "photos"):
        hp = keras_tuner.HyperParameters()
        hp.values = {"patch": coarsest, "image_augmentation": augmentation}
        recipe = hypermodel.recipe(hp)
        assert recipe.image_augmentation == augmentation
        independent = recipe.model.get("independent_targets", False)
        assert independent == (name == "mnist_5k" and augmentation == "photos")
    assert min(hypermodel.build(hp).grid) >= 3


def test_grids_that_are_all_coarser_than_the_pooling_are_told():
    base = Recipe(model={"pooling": "4x4"})
    assert [*CPCHyperModel((28, 28, 1), base=base, patch_sizes=(8, 14)).geometries] == ["8/4"]
    with pytest.raises(ValueError, match=r"'4x4' is finer than every grid.*'14/7', '14/14'"):
        CPCHyperModel((28, 28, 1), base=base, patch_sizes=(14,))


def test_tuners_of_keras_tuner_give_epochs_and_callbacks_and_keep_weights(tmp_path):
    base = Recipe(model={"context_blocks": 1, "context_filters": 8}, num_epochs=7, batch_size=8)
    hypermodel = CPCHyperModel(
        SHAPE, base=base, widths=(4,), depths=(1,), patch_sizes=(8,), directions=("down",)
    )
    data, lived = some_data(), []
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: lived.append(epoch))
    tuner = keras_tuner.RandomSearch(
        hypermodel,
        keras_tuner.Objective("probe_accuracy", "max"),
        max_trials=1,
        directory=tmp_path,
        project_name="mine",
    )
    tuner.search(data.images, data.labels, epochs=2, callbacks=[count], verbose=0)
    assert lived == [0, 1]
    (model,) = tuner.get_best_models()
    hp = tuner.get_best_hyperparameters()[0]
    assert model.encoder(data.images).shape[0] == 16
    # A trial that goes on, as Hyperband's do.
    begun = hypermodel.build(hp)
    hypermodel.fit(
        hp, begun, data.images, data.labels, epochs=3, initial_epoch=2, callbacks=[count]
    )
    assert lived == [0, 1, 0]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_the_best_by_the_probe_becomes_a_file_of_settings(tmp_path):
    rows = search(tmp_path / "found", num_trials=6)
    scores = [row["probe_accuracy"] for row in rows]
    assert len(rows) == 6 and scores == sorted(scores, reverse=True)
    best = yaml.safe_load((tmp_path / "found" / "best.yaml").read_text())
    assert {k: best.pop(k) for k in ("data", "image_size", "channels")} == {
        **FACTS,
        "image_size": 16,
    }
    recipe = Recipe(**best)  # what `pretrain` takes, and nothing else
    assert score_of(recipe) == pytest.approx(scores[0])
    assert recipe.model["scale"] == pytest.approx(1 / rows[0]["temperature"])
    assert ",".join(map(str, recipe.model["offsets"])) == rows[0]["offsets"]
    with (tmp_path / "found" / "trials.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["trial"] for row in table] == [row["trial"] for row in rows]
    assert json.loads((tmp_path / "found" / "trials.json").read_text()) == rows
    assert (tmp_path / "found" / "trials.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_a_failing_trial_is_told_with_its_error_and_the_others_go_on(tmp_path, capsys):
    hypermodel = Quick(SHAPE)
    hypermodel.broken = ("0", "1", "2", "3")  # more in a row than keras-tuner bears by itself
    rows = search(tmp_path / "found", hypermodel=hypermodel, num_trials=6)
    failed = [row for row in rows if row["status"] == "FAILED"]
    assert [row["trial"] for row in failed] == ["0", "1", "2", "3"]
    assert failed[1]["error"] == "FloatingPointError: the loss of trial 1 is NaN"
    assert "Trial 1 failed: FloatingPointError: the loss of trial 1" in capsys.readouterr().out
    assert rows[0]["status"] == "COMPLETED"
    assert "the loss of trial 3 is NaN" in (tmp_path / "found" / "trials.csv").read_text()


def test_a_search_of_failures_alone_raises_and_leaves_its_table(tmp_path):
    hypermodel = Quick(SHAPE)
    hypermodel.broken = ("0", "1")
    with pytest.raises(RuntimeError, match=r"all 2 trials failed.*loss of trial 0 is NaN"):
        search(tmp_path / "found", hypermodel=hypermodel, num_trials=2)
    assert "loss of trial 1" in (tmp_path / "found" / "trials.csv").read_text()
    assert not (tmp_path / "found" / "best.yaml").exists()


@pytest.mark.slow
@pytest.mark.parametrize("oracle", ["random", "bayesian"])
def test_a_stopped_search_goes_on_and_a_finished_one_can_be_made_longer(tmp_path, oracle):
    hypermodel = Quick(SHAPE)
    hypermodel.fitted = []

    class Stopped(Quick):
        def fit(self, *args, run_directory, **kwargs):
            if run_directory.name == "2":
                raise KeyboardInterrupt
            return super().fit(*args, run_directory=run_directory, **kwargs)

    stopped = Stopped(SHAPE)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "found", hypermodel=stopped, num_trials=4, oracle=oracle)
    # What there is was written.
    table = json.loads((tmp_path / "found" / "trials.json").read_text())
    assert [row["status"] for row in table].count("COMPLETED") == 2
    before = {row["trial"]: row["probe_accuracy"] for row in table}
    rows = search(tmp_path / "found", hypermodel=hypermodel, num_trials=4, oracle=oracle)
    assert sorted(hypermodel.fitted) == ["2", "3"]
    after = {row["trial"]: row["probe_accuracy"] for row in rows}
    assert after["0"] == before["0"] and after["1"] == before["1"]
    rows = search(tmp_path / "found", hypermodel=hypermodel, num_trials=5, oracle=oracle)
    assert len(rows) == 5 and sorted(hypermodel.fitted) == ["2", "3", "4"]


def test_other_settings_and_other_directories_are_refused(tmp_path):
    search(tmp_path / "found", num_trials=1)
    with pytest.raises(FileExistsError, match="seed differ"):
        search(tmp_path / "found", num_trials=1, seed=1)
    with pytest.raises(FileExistsError, match="base differ"):
        search(tmp_path / "found", hypermodel=Quick(SHAPE, base=Recipe(num_epochs=3)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(FileExistsError, match="is no search"):
        search(tmp_path / "mine")


def test_arguments_that_make_no_search_are_told(tmp_path):
    with pytest.raises(ValueError, match="without labels"):
        run_search(
            Quick(SHAPE), ImageData(some_data().images), directory=tmp_path / "x", num_trials=1
        )
    images = some_data().images
    for labels, message in (
        (np.zeros(len(images), int), "of 1 classes"),
        (np.arange(len(images)), "every class has a single image"),
        (np.eye(2, dtype=int)[np.arange(len(images)) % 2], "one class an image"),
    ):
        with pytest.raises(ValueError, match=message):
            run_search(
                Quick(SHAPE), ImageData(images, labels), directory=tmp_path / "x", num_trials=1
            )
        assert not (tmp_path / "x").exists()
    with pytest.raises(ValueError, match="oracle must be one of"):
        search(tmp_path / "x", oracle="grid")
    with pytest.raises(ValueError, match="num_trials must be 1"):
        search(tmp_path / "x", num_trials=0)
    with pytest.raises(ValueError, match='method="cpc"'):
        CPCHyperModel(SHAPE, base=Recipe(method="simclr"))
    with pytest.raises(ValueError, match="probe must be one of"):
        CPCHyperModel(SHAPE, probe="svm")


def test_a_trial_trains_and_its_probe_and_not_its_loss_is_the_objective(tmp_path, monkeypatch):
    probed = []

    def spy(encoder, images, labels, **options):
        probed.append(options)
        return probe_score(encoder, images, labels, **options)

    monkeypatch.setattr("cpc_keras.search.cpc_hyper_model.probe_score", spy)
    base = Recipe(
        model={"context_blocks": 1, "context_filters": 8}, num_epochs=1, batch_size=8, seed=3
    )
    hypermodel = CPCHyperModel(
        SHAPE,
        base=base,
        widths=(4,),
        depths=(1,),
        patch_sizes=(8,),
        directions=("down",),
        probe="knn",
        image_augmentations=("none",),
    )
    data = dataclasses.replace(some_data(), groups=np.arange(16) // 2)
    options = {"directory": tmp_path / "found", "num_trials": 1, "facts": FACTS}
    (row,) = run_search(hypermodel, data, **options)
    assert row["status"] == "COMPLETED", row["error"]
    # The bright and the dark can be told apart by any features.
    assert row["probe_accuracy"] == 1 and row["loss"] > 0
    assert [(call["probe"], call["seed"]) for call in probed] == [("knn", 3)]
    np.testing.assert_array_equal(probed[0]["groups"], data.groups)
    # Trained: a run directory with a line for the epoch, of the settings of best.yaml.
    run = tmp_path / "found" / "trials" / "0"
    assert len((run / "metrics.csv").read_text().splitlines()) == 2
    best = yaml.safe_load((tmp_path / "found" / "best.yaml").read_text())
    config = yaml.safe_load((run / "config.yaml").read_text())
    # How images were loaded is known to who loaded them.
    assert (best.pop("image_size"), config.pop("image_size")) == (16, None)
    assert (best.pop("channels"), config.pop("channels")) == (1, None)
    assert best == {**config, "data": "made up"}
    fields = {field.name for field in dataclasses.fields(Recipe)}
    assert set(config) == fields - {"image_size", "channels"}


def test_the_table_of_nothing_is_empty():
    assert trials_table(keras_tuner.oracles.RandomSearchOracle(max_trials=1)) == []
