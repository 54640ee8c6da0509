"""Which probes a run gets."""

import dataclasses

import numpy as np
import pytest

from cpc_keras.cli.probe_callbacks import NUM_PROBED, probe_callbacks
from cpc_keras.data import ImageData, Splits
from cpc_keras.methods import METHODS
from cpc_keras.training import Recipe

RECIPE = Recipe(batch_size=8)


def data(count, labels="classes"):
    images = np.zeros((count, 12, 10, 1), "uint8")
    images[:] = np.arange(count)[:, None, None, None] % 256
    labels = {"classes": np.arange(count) % 3, "one each": np.arange(count), "none": None}[labels]
    return ImageData(images, labels)


def names(splits, recipe=RECIPE, **kwargs):
    found = probe_callbacks(splits, recipe, **{"every": 2, "num_held_out": 16, **kwargs})
    return [type(callback).__name__ for callback in found]


EVERYTHING = ["CollapseMonitor", "MutualInformation", "KNNProbe", "LinearProbe"]


@pytest.mark.parametrize(
    ("splits", "recipe", "expected"),
    [
        (Splits(data(30), data(20)), RECIPE, EVERYTHING),
        (Splits(data(30), None), RECIPE, ["CollapseMonitor", "KNNProbe", "LinearProbe"]),
        # Too few for a batch, or a loss that bounds nothing.
        (Splits(data(30), data(7)), RECIPE, ["CollapseMonitor", "KNNProbe", "LinearProbe"]),
        (
            Splits(data(30), data(20)),
            dataclasses.replace(RECIPE, method="rotation"),
            ["CollapseMonitor", "KNNProbe", "LinearProbe"],
        ),
        (Splits(data(30, "none"), data(20)), RECIPE, ["CollapseMonitor", "MutualInformation"]),
        (Splits(data(30, "one each"), data(20)), RECIPE, ["CollapseMonitor", "MutualInformation"]),
    ],
)
def test_a_run_gets_the_probes_that_its_data_allow(splits, recipe, expected):
    assert names(splits, recipe) == [*expected, "ImprovementMonitor"]


def test_the_bound_is_measured_of_methods_that_have_one():
    splits = Splits(data(30, "none"), data(20))
    found = {
        method
        for method in METHODS
        if "MutualInformation" in names(splits, dataclasses.replace(RECIPE, method=method))
    }
    assert found == {"cpc", "cpc_v1", "cpc_v2", "cpc_pair", "simclr"}


def test_probes_leave_groups_whole_and_need_two():
    images, labels = data(30).images, data(30).labels
    of_two = ImageData(images, labels, groups=np.arange(30) // 6)
    found = probe_callbacks(Splits(of_two, None), RECIPE, every=2, num_held_out=16)
    knn, linear = found[1:3]
    np.testing.assert_array_equal(knn._groups, of_two.groups)
    assert not {*of_two.groups[linear._fit]} & {*of_two.groups[linear._held_out]}
    of_one = ImageData(images, labels, groups=np.zeros(30))
    assert names(Splits(of_one, None)) == ["CollapseMonitor", "ImprovementMonitor"]


def test_few_labels_are_all_probed_and_one_class_alone_is_not_fitted_on():
    count = 3 * NUM_PROBED
    images, labels = data(count).images, np.full(count, -1)
    labels[::100] = np.arange(len(labels[::100])) % 2
    callbacks = probe_callbacks(
        Splits(ImageData(images, labels), None), RECIPE, every=2, num_held_out=16
    )
    assert len(callbacks[1]._images) == len(labels[::100])
    groups = np.arange(30) // 15
    of_class = ImageData(data(30).images, groups, groups=groups)
    with pytest.warns(UserWarning, match="stand on one side"):
        found = names(Splits(of_class, None))
    assert found == ["CollapseMonitor", "KNNProbe", "ImprovementMonitor"]


@pytest.mark.parametrize(
    ("splits", "watched"),
    [
        (Splits(data(30), data(20)), "knn_accuracy"),
        (Splits(data(30, "none"), data(20)), "val_mutual_information"),
        (Splits(data(30, "none"), None), "mutual_information"),
    ],
)
def test_something_tells_when_it_stands_still(splits, watched):
    *_, monitor = probe_callbacks(splits, RECIPE, every=2, num_held_out=16)
    assert monitor._monitor == watched


def test_probes_can_be_left_out_and_the_projector_asked_for(tmp_path):
    splits = Splits(data(30), data(20))
    assert names(splits, every=0) == []
    assert names(splits, projector=tmp_path)[-1] == "EmbeddingProjector"


def test_labels_are_those_of_training_images_and_the_bound_is_of_test_images():
    splits = Splits(data(2 * NUM_PROBED), data(40))
    collapse, information, knn, *_ = probe_callbacks(splits, RECIPE, every=2, num_held_out=16)
    assert len(knn._images) == len(collapse._images) == NUM_PROBED
    assert len(np.unique(knn._images[:, 0, 0, 0])) > 200  # from everywhere
    # Not the first ones: sorted by folder, these would be of one class.
    same = (splits.test.images[:, None] == information._images).all(axis=(2, 3, 4))
    places, _ = np.nonzero(same)
    assert len(information._images) == len(np.unique(places)) == 16 and places.max() > 20


def test_images_are_seen_as_the_model_sees_them_where_it_takes_crops():
    splits = Splits(data(30), data(20))
    collapse, *_ = probe_callbacks(
        splits, dataclasses.replace(RECIPE, crop_size=8), every=1, num_held_out=16
    )
    assert collapse._images.shape == (30, 8, 8, 1)
