"""The benchmark of dense features: its sums, and that what is published has every part."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import dense_features
from cpc_keras import CPCModel
from cpc_keras.data import ImageData, Splits


def digits(num_images):
    """Images of which the brightness tells the class."""
    labels = np.arange(num_images) % 4
    images = np.random.default_rng(0).integers(0, 40, (num_images, 16, 16, 1))
    return ImageData(
        images=(images + 60 * labels[:, None, None, None]).astype("uint8"),
        labels=labels,
        class_names=tuple("0123"),
        source="made up",
    )


@pytest.mark.slow
def test_both_forms_are_measured_with_one_pooling():
    # Contexts cannot be dense: codes are compared, whatever the model's features are.
    model = CPCModel(
        (16, 16, 1),
        patch_encoder="tiny",
        offsets=(2,),
        context_blocks=1,
        context_filters=8,
        patch_augmentation=None,
        features="contexts",
        pooling="2x2",
        seed=0,
    )
    splits = Splits(digits(120), digits(40))
    both = dense_features.encoders(model)
    told = dense_features.measure(both, splits, rounds=1, fractions=(0.1, 1.0))
    assert told["features"] == 2 * 2 * 64
    operations = told["mflops_of_an_image"]
    assert operations["dense"] < operations["patch by patch"]
    for form in dense_features.FORMS:
        assert told["milliseconds_of_an_image"][form] > 0
        assert [len(x["draws"]) for x in told["accuracy"][form].values()] == [3, 1]
        assert told["accuracy"][form]["1.0"]["mean"] > 0.9


def test_differences_are_paired_by_draw():
    def of(draws):
        return {"0.1": {"draws": draws}, "1.0": {"draws": draws[:1]}}

    told = dense_features.differences(
        {"patch by patch": of([0.80, 0.84, 0.82]), "dense": of([0.79, 0.82, 0.80])}
    )
    # -1, -2, -2: mean -5/3, deviation 0.577, divided by the root of 3.
    assert told["0.1"] == {"mean": -1.67, "error": 0.33, "within the aim": False}
    assert told["1.0"] == {"mean": -1.0, "error": None, "within the aim": True}


@pytest.mark.slow
def test_the_command_writes_what_it_measures(tmp_path):
    pytest.importorskip("mlxtend")
    out = tmp_path / "dense_features.json"
    command = [sys.executable, "-m", "benchmarks.dense_features", "--quick", "--rounds", "1"]
    subprocess.run([*command, "--out", str(out)], cwd=dense_features.ROOT, check=True)
    check(json.loads(out.read_text()))


@pytest.mark.skipif(not dense_features.RESULTS.exists(), reason="no results are published")
def test_what_is_published_has_every_part():
    found = json.loads(dense_features.RESULTS.read_text())
    check(found)
    assert found["images"] == {"train": 4000, "test": 1000}


def check(found):
    shares = [str(fraction) for fraction in dense_features.FRACTIONS]
    assert found["aims"] == dense_features.AIMS
    for form in dense_features.FORMS:
        of_form = found["accuracy"][form]
        assert list(of_form) == shares
        assert [len(x["draws"]) for x in of_form.values()] == [3, 3, 1]
    assert found["points, dense to patch by patch"] == dense_features.differences(found["accuracy"])
    patches, dense = found["milliseconds_of_an_image"].values()
    assert found["times faster"] == pytest.approx(patches / dense, rel=2e-2)
