"""summarize, format_table and verdict."""

import numpy as np
import pytest

from cpc_keras.evaluation import ROW_TITLES, format_table, row_title, summarize, verdict


def _result(row, fraction, seed, draw, accuracy):
    return {
        "row": row,
        "fraction": fraction,
        "num_labels": int(4000 * fraction),
        "seed": seed,
        "draw": draw,
        "accuracy": accuracy,
    }


def test_draws_and_seeds_are_separate_spreads():
    accuracies = {0: [0.5, 0.6, 0.7], 1: [0.6, 0.6, 0.9]}
    results = [
        _result("cnn", 0.01, seed, draw, accuracy)
        for seed, values in accuracies.items()
        for draw, accuracy in enumerate(values)
    ]
    (cell,) = summarize(results)
    assert cell["accuracy"] == pytest.approx(0.65)
    # Sample deviations by hand: draws 0.1 and sqrt(0.03); means over draws 0.6 and 0.7.
    assert cell["draw_deviation"] == pytest.approx((0.1 + np.sqrt(0.03)) / 2)
    assert cell["seed_deviation"] == pytest.approx(np.sqrt(2 * 0.05**2))


def test_one_draw_or_one_seed_has_no_spread():
    (cell,) = summarize([_result("cnn", 1.0, 0, 0, 0.5)])
    assert cell["draw_deviation"] is None
    assert cell["seed_deviation"] is None
    assert "± " not in format_table([cell])


OTHERS = {"cpc_fine_tuned": 0.1, "raw_pixels": 0.2, "random_frozen": 0.3, "supervised": 0.2}


def _summary(cpc, other):
    """Of accuracies `[seed][draw]`."""
    results = [
        _result(row, 0.01, seed, draw, accuracy)
        for row, accuracies in (("cpc_frozen", cpc), ("cnn", other))
        for seed, values in enumerate(accuracies)
        for draw, accuracy in enumerate(values)
    ]
    seeds_and_draws = {(r["seed"], r["draw"]) for r in results}
    for row, accuracy in OTHERS.items():
        results += [_result(row, 0.01, s, d, accuracy) for s, d in sorted(seeds_and_draws)]
    return summarize(results)


def test_nothing_is_claimed_where_an_opponent_is_missing():
    cells = _summary([[0.9, 0.9]] * 3, [[0.8, 0.8]] * 3)
    probes = [c for c in cells if c["row"] not in ("cnn", "supervised")]
    assert verdict(probes).endswith(
        "86% fewer errors. Not measured beside it: same network, labels only; ordinary CNN, labels "
        "only. An observation, no claim."
    )


def test_a_benefit_is_the_share_of_errors_that_the_best_other_row_makes_more():
    assert verdict(_summary([[0.9, 0.9]] * 3, [[0.8, 0.8]] * 3)).endswith(
        "frozen + linear probe reaches 90.0%; the best other row, ordinary CNN, labels only, "
        "80.0%: 50% fewer errors, ahead with each of 3 pre-training seeds and 2 draws of the "
        "labels."
    )


@pytest.mark.parametrize("cpc", [0.8, 0.79])
def test_no_benefit_is_claimed_at_or_below_the_best_other_row(cpc):
    assert "no benefit" in verdict(_summary([[cpc]] * 3, [[0.8]] * 3))


def test_fewer_than_three_seeds_are_an_observation():
    text = verdict(_summary([[0.9, 0.9]], [[0.8, 0.8]]))
    assert text.endswith(
        "50% fewer errors. 1 pre-training seed(s): an observation; a claim needs 3."
    )


def test_nothing_is_claimed_where_a_seed_or_a_draw_is_behind():
    behind_with_one_draw = verdict(_summary([[0.95, 0.7]] * 3, [[0.8, 0.8]] * 3))
    assert behind_with_one_draw.endswith(
        "on average, but ahead only with 3 of 3 pre-training seeds and 1 of 2 draws of the labels: "
        "no claim."
    )
    behind_with_one_seed = verdict(_summary([[0.9], [0.9], [0.75]], [[0.8]] * 3))
    assert "2 of 3 pre-training seeds" in behind_with_one_seed


def test_rows_of_the_encoder_are_called_by_its_method():
    summary = _summary([[0.9]], [[0.8]])
    lines = format_table(summary, method="instance_discrimination").splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "instance discrimination, fine-tuned",
        "instance discrimination, frozen + linear probe",
        "same network, labels only",
        "random encoder + linear probe",
        "raw pixels, logistic regression",
        "ordinary CNN, labels only",
    ]
    assert "(40), simclr, frozen + linear probe reaches" in verdict(summary, method="simclr")
    for method in ("cpc", "cpc_v1", "cpc_v2", "cpc_pair"):
        assert format_table(summary, method=method) == format_table(summary)
        assert row_title("cpc_frozen", method) == ROW_TITLES["cpc_frozen"]
    assert row_title("own CPC", "simclr") == "own CPC"


def test_the_table_has_a_line_a_row_and_a_column_a_fraction():
    summary = summarize(
        [_result(row, f, 0, d, 0.5) for row in ("cnn", "own") for f in (0.01, 1) for d in (0, 1)]
    )
    lines = format_table(summary, markdown=True).splitlines()
    assert lines[0] == "| accuracy in %, by share of labels | 1% (40) | 100% (4000) |"
    assert lines[2] == "| ordinary CNN, labels only | 50.0 ± 0.0 | 50.0 ± 0.0 |"
    assert lines[3].startswith("| own |")
