"""The study of CPC's choices: its sums, and that what is published belongs to what is there."""

import json

import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmarks.cifar10_choices import BASELINES, CANDIDATES, RESULTS, SMALL, _grey, line, rows


def entries(name, accuracies):
    return {
        f"{name}, seed {seed}": {"name": name, "seed": seed, "accuracy": accuracy}
        for seed, accuracy in enumerate(accuracies)
    }


def test_differences_are_paired_by_seed():
    found = {
        **entries("base", [0.50, 0.54, 0.52]),
        **entries("one direction", [0.49, 0.52, 0.50]),
        **entries("raw pixels", [0.36]),
    }
    base, other, pixels = rows(found)
    assert base["name"] == "base" and base["difference"] is None
    assert base["mean"] == pytest.approx(52) and base["deviation"] == pytest.approx(2)
    # -1, -2, -2: mean -5/3, deviation 0.577, divided by the root of 3.
    assert other["difference"] == pytest.approx(-5 / 3)
    assert other["error"] == pytest.approx(np.sqrt(1 / 3) / np.sqrt(3))
    assert pixels["deviation"] is None and pixels["error"] is None


def test_grey_is_the_luminance_that_image_libraries_use():
    PIL = pytest.importorskip("PIL.Image")
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), "uint8")
    expected = np.asarray(PIL.fromarray(image).convert("L"), int)
    assert abs(_grey(image[None])[0, ..., 0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_can_be_built(name):
    method, options, grey = CANDIDATES[name]
    model = method((32, 32, 1 if grey else 3), **{**SMALL, **options})
    assert model.encoder.output_shape == (None, 64)


@pytest.mark.skipif(not RESULTS.exists(), reason="no results are published")
def test_what_is_published_are_rows_of_the_study_and_the_page_tells_of_how_many_seeds():
    found = json.loads(RESULTS.read_text())
    assert {entry["name"] for entry in found.values()} <= {*CANDIDATES, *BASELINES}
    assert all(key == f"{x['name']}, seed {x['seed']}" for key, x in found.items())
    page = (RESULTS.parents[2] / "docs" / "cpc_choices.md").read_text(encoding="utf-8")
    for row in rows(found):
        assert line(row) in page


def test_a_difference_is_bold_where_a_paired_t_test_tells_it_from_none():
    base, other = [0.50, 0.54, 0.52], np.array([0.01, 0.02, 0.03])
    for by, bold in ((1, False), (2, True)):
        better = base + by * other - (by - 1) * other.mean() + (by - 1) * 0.04
        _, row = rows({**entries("base", base), **entries("one direction", list(better))})
        assert ("**" in line(row)) == bold == (ttest_rel(better, base).pvalue < 0.05)
