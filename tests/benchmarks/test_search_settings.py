"""The searches for settings: what they try, and that nothing is measured twice."""

import json
import sys

import pytest

from benchmarks import search_settings


@pytest.mark.parametrize("name", search_settings.SEARCHES)
def test_candidates_are_different_recipes(name):
    settings = [
        json.dumps(search_settings._settings(recipe))
        for recipe in search_settings.SEARCHES[name].candidates.values()
    ]
    assert len(set(settings)) == len(settings) > 1


def test_what_is_there_is_not_measured_again(tmp_path, monkeypatch, capsys):
    tried = []

    def measure(search, recipe):
        tried.append((search.data, recipe.num_epochs, recipe.model.get("context_blocks")))
        return {"accuracies_of_draws": [0.5], "mean_accuracy": 0.5}

    def search(*arguments):
        out = ["--out", str(tmp_path / "found.json")]
        monkeypatch.setattr(sys, "argv", ["search_settings", "mnist_5k", *out, *arguments])
        search_settings.main()

    monkeypatch.setattr(search_settings, "_try", measure)
    search("--only", "recipe", "recipe, 3 blocks of 64 filters")
    assert tried == [("mnist_5k", 20, 2), ("mnist_5k", 20, 3)]
    search("--only", "recipe")
    assert len(tried) == 2
    search("--only", "recipe", "--epochs", "3")
    assert tried[2:] == [("mnist_5k", 3, 2)]
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found) == {
        "recipe, 20 epochs",
        "recipe, 3 blocks of 64 filters, 20 epochs",
        "recipe, 3 epochs",
    }
    assert found["recipe, 3 epochs"]["mean_accuracy"] == 0.5


@pytest.mark.parametrize(
    ("name", "base"),
    [("fashion_mnist", "recipe of MNIST-5k, 10 epochs"), ("cifar10", "codes of 256, 2000 steps")],
)
def test_the_page_tells_what_was_found(name, base):
    found = json.loads((search_settings.RESULTS / f"{name}_search.json").read_text())
    page = search_settings.RESULTS.parents[1] / "docs" / "cpc_choices.md"
    table = search_settings.table(found, base)
    assert table in page.read_text(encoding="utf-8")
    assert table.count("\n") == len(found) + 1 and "± 0.0" not in table


def test_a_score_is_that_of_labels_that_were_held_out(monkeypatch):
    """On images of one grey for each class, features of any network tell all."""
    import numpy as np

    from cpc_keras.data import ImageData, Splits

    labels = np.repeat(np.arange(4), 100)
    images = np.broadcast_to((60 * labels[:, None, None, None]).astype("uint8"), (400, 8, 8, 1))
    data = Splits(ImageData(np.array(images), labels=labels, source="grey"), None)
    monkeypatch.setattr(search_settings, "load_data", lambda name: data)
    recipe = search_settings.change_recipe(
        search_settings.Recipe(),
        {
            "num_epochs": 1,
            "batch_size": 100,
            "model.patch_encoder": "mlp",
            "model.patch_size": 4,
            "model.patch_stride": 2,
            "model.offsets": (2,),
            "model.context_blocks": 1,
            "model.patch_augmentation": None,
        },
    )
    search = search_settings.Search("grey", None, "none", 1, {})
    found = search_settings._try(search, recipe)
    assert len(found["accuracies_of_draws"]) == search_settings.NUM_DRAWS
    assert found["mean_accuracy"] > 0.95
