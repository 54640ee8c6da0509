"""The benchmark of the estimators: its scores, its run, and the numbers that were published."""

import json
import math

import numpy as np
import pytest

from benchmarks.mutual_information import (
    CRITICS,
    ESTIMATORS,
    PAGE,
    RESULTS,
    Critics,
    best_map,
    correlation,
    draw,
    measure,
    table,
)


def log_normal(x, mean, covariance):
    difference = x - mean
    quadratic = difference @ np.linalg.inv(covariance) @ difference
    return -(quadratic + np.linalg.slogdet(2 * math.pi * covariance)[1]) / 2


@pytest.mark.parametrize("information", [0.5, 3.0])
def test_the_best_scores_are_the_logarithm_of_the_ratio_of_densities(information):
    dim = 3
    rho = correlation(information, dim)
    joint = np.block([[np.eye(dim), rho * np.eye(dim)], [rho * np.eye(dim), np.eye(dim)]])
    assert -np.linalg.slogdet(joint)[1] / 2 == pytest.approx(information)
    critics = Critics(None, [1.0, information], dim)
    critics.set_weights([best_map(i, dim) for i in (1.0, information)])
    draws = np.random.default_rng(0).normal(size=(2, 2, 4, dim)).astype("float32")
    scores = np.asarray(critics(draws))[:, 1]
    for batch, i, j in np.ndindex(scores.shape):
        x, noise = draws[batch, 0, i], draws[batch, 1, j]
        y = rho * draws[batch, 0, j] + math.sqrt(1 - rho**2) * noise
        ratio = (
            log_normal(np.concatenate([x, y]), 0, joint)
            - log_normal(x, 0, np.eye(dim))
            - log_normal(y, 0, np.eye(dim))
        )
        np.testing.assert_allclose(scores[batch, i, j], ratio, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def published():
    return json.loads(RESULTS.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_short_run_gives_what_the_published_file_holds(published, tmp_path):
    settings = {**published["settings"], "informations": [0.5, 1], "dim": 4, "num_pairs": 32}
    results = measure({**settings, "num_batches": 50, "num_steps": 200})
    assert results.keys() == published.keys()
    for critic in CRITICS:
        assert results[critic].keys() == published[critic].keys() == ESTIMATORS.keys()
        for name, rows in results[critic].items():
            assert [row["information"] for row in rows] == [0.5, 1]
            assert {key for row in rows for key in row} == published[critic][name][0].keys()
            for row in rows:  # even so few steps have taught the trained ones something
                assert 0.4 * row["information"] < row["mean"] < row["information"] + 0.25
    draw(results, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize("critic", CRITICS)
def test_the_published_bounds_are_below_the_truth(published, critic):
    for name in ("info_nce", "nwj", "jensen_shannon"):
        for row in published[critic][name]:
            assert row["mean"] - row["two_standard_errors"] <= row["information"], (name, row)
    for row in published[critic]["info_nce"]:
        assert row["mean"] <= published["log_n"]


def test_the_published_donsker_varadhan_exceeds_the_truth(published):
    last = published["optimal"]["donsker_varadhan"][-1]
    assert last["mean"] - last["two_standard_errors"] > last["information"]


def test_the_page_shows_the_published_numbers(published):
    assert table(published) in PAGE.read_text(encoding="utf-8")
