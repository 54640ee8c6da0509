import numpy as np
import pytest

from cpc_keras.evaluation import bootstrap_interval, label_efficiency, summarize, wilson_interval


def test_the_interval_is_that_of_drawing_seeds_and_then_their_draws():
    rng = np.random.default_rng(0)
    values = [list(0.7 + 0.05 * seed + 0.02 * rng.normal(size=3)) for seed in range(4)]
    means = []
    for _ in range(4000):
        seeds = [values[i] for i in rng.integers(4, size=4)]
        means.append(np.mean([np.mean(rng.choice(draws, 3)) for draws in seeds]))
    expected = np.percentile(means, [5, 95])
    found = bootstrap_interval(values, confidence=0.9)
    np.testing.assert_allclose(found, expected, atol=0.004)


def test_crossed_draws_are_drawn_for_all_seeds_at_once():
    rng = np.random.default_rng(0)
    values = 0.7 + 0.01 * rng.normal(size=(3, 1)) + 0.05 * rng.normal(size=(1, 5))
    values += 0.002 * rng.normal(size=(3, 5))
    means = []
    for _ in range(4000):
        seeds, draws = rng.integers(3, size=3), rng.integers(5, size=5)
        means.append(np.mean([values[s][d] for s in seeds for d in draws]))
    expected = np.percentile(means, [5, 95])
    found = bootstrap_interval(values.tolist(), crossed=True, confidence=0.9)
    np.testing.assert_allclose(found, expected, atol=0.004)
    # Three copies of a seed tell no more of the draws than one does.
    one, copies = (bootstrap_interval([list(values[0])] * n, crossed=True) for n in (1, 3))
    np.testing.assert_allclose(copies, one, atol=0.004)
    nested = bootstrap_interval([list(values[0])] * 3)
    assert np.ptp(nested) < 0.7 * np.ptp(copies)
    with pytest.raises(ValueError, match=r"\[2, 1\] draws of the seeds"):
        bootstrap_interval([[0.5, 0.6], [0.5]], crossed=True)


def test_a_summary_takes_the_label_draws_of_all_seeds_for_the_same():
    results = [
        {"row": "cnn", "fraction": 0.1, "num_labels": 9, "seed": s, "draw": d, "accuracy": a}
        for s in range(3)
        for d, a in enumerate((0.5, 0.6, 0.8))
    ]
    expected = bootstrap_interval([[0.5, 0.6, 0.8]] * 3, crossed=True)
    assert summarize(results)[0]["interval"] == expected
    partial = [r for r in results if (r["seed"], r["draw"]) != (2, 2)]
    assert summarize(partial)[0]["interval"] != expected


def test_seeds_of_different_numbers_of_draws_count_the_same():
    found = bootstrap_interval([[0.5] * 7, [0.9]])
    assert found == [0.5, 0.9]


def test_the_seed_decides_and_one_value_is_its_own_interval():
    values = [[0.5, 0.6, 0.8], [0.4, 0.9, 0.7]]
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, num_resamples=30) != bootstrap_interval(values, seed=1)
    assert bootstrap_interval([[0.25]]) == [0.25, 0.25]


@pytest.mark.parametrize(("values", "confidence"), [([], 0.9), ([[]], 0.9), ([[0.5]], 95)])
def test_no_values_and_impossible_confidences_are_refused(values, confidence):
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_interval(values, confidence=confidence)


class _Row:
    name, settings = "row", ({},)

    def fit_predict(self, index, labels, *, setting, held_out=None):
        self.index = index
        probabilities = np.full((8, 2), 0.5)
        probabilities[:, 1] = 0.4
        probabilities[7:, 1] = 0.6  # seven of eight are right
        return probabilities if held_out is None else probabilities[: len(held_out)]


def test_results_hold_the_metrics_and_summaries_their_means_and_intervals():
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    results = label_efficiency(
        [_Row()], train_labels=labels, test_labels=labels, fractions=(0.5, 1.0), num_draws=2
    )
    first = results[0]
    assert first["accuracy"] == 7 / 8 and first["num_test"] == 8
    assert first["metrics"]["balanced_accuracy"] == (1 + 1 / 2) / 2
    half, whole = summarize([{**r, "seed": 0} for r in results])
    assert half["interval"] == [7 / 8, 7 / 8] and half["metrics"] == first["metrics"]
    assert whole["interval"] == wilson_interval(7, 8)
    # Of images of two patients, one of whom was told right throughout.
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    (result,) = label_efficiency(
        [_Row()], train_labels=labels, test_labels=labels, fractions=(1.0,), test_groups=groups
    )
    assert summarize([{**result, "seed": 0}])[0]["interval"] == [0.75, 1.0]


def test_results_of_before_have_no_metrics():
    old = {"row": "cnn", "fraction": 0.1, "num_labels": 9, "draw": 0, "accuracy": 0.5, "seed": 0}
    assert summarize([old])[0]["interval"] is None
    assert summarize([old])[0]["metrics"] == {}


def test_label_efficiency_takes_subsets_and_groups_of_the_caller():
    labels, groups = np.arange(8) % 2, np.arange(8) // 4
    row = _Row()
    row.settings = ({"a": 1}, {"a": 2})
    seen = []
    fit_predict = row.fit_predict

    def watched(index, *args, **kwargs):
        seen.append(list(index))
        return fit_predict(index, *args, **kwargs)

    row.fit_predict = watched
    label_efficiency(
        [row],
        train_labels=labels,
        test_labels=labels,
        fractions=(0.5,),
        num_draws=1,
        train_groups=groups,
        subset=lambda fraction, draw: np.array([0, 1, 2, 5, 6]),
    )
    *trials, last = seen
    assert last == [0, 1, 2, 5, 6]
    # Two groups: one is fitted on, the other is held out.
    assert all(trial in ([0, 1, 2], [5, 6]) for trial in trials) and len(trials) == 2
