"""label_efficiency."""

import numpy as np
import pytest

from cpc_keras.data import label_subset
from cpc_keras.evaluation import label_efficiency, num_fits

LABELS = np.repeat(np.arange(4), 50)


class _Oracle:
    """Predicts held-out labels with a quality that the setting names, and records its calls."""

    def __init__(self, name="oracle", qualities=(0.2, 0.9, 0.5)):
        self.name = name
        self.settings = tuple({"quality": q} for q in qualities)
        self.calls = []

    def fit_predict(self, index, labels, *, setting, held_out=None):
        np.testing.assert_array_equal(labels, LABELS[index])
        self.calls.append((np.asarray(index), setting, held_out))
        truth = LABELS if held_out is None else LABELS[held_out]
        quality = setting["quality"]
        probabilities = np.full((len(truth), 4), (1 - quality) / 3)
        probabilities[np.arange(len(truth)), truth] = quality
        return probabilities


def _run(rows, **kwargs):
    return label_efficiency(rows, train_labels=LABELS, test_labels=LABELS, **kwargs)


def test_the_setting_is_chosen_on_held_out_labels_of_the_subset():
    row = _Oracle()
    _run([row], fractions=(0.1,), num_draws=2)
    subset = set(label_subset(LABELS, 0.1, seed=0))
    trials = [call for call in row.calls if call[2] is not None]
    assert len(trials) == 3
    for index, _, held_out in trials:
        assert set(index) | set(held_out) == subset
        assert not set(index) & set(held_out)
    finals = [call for call in row.calls if call[2] is None]
    assert [setting["quality"] for _, setting, _ in finals] == [0.9, 0.9]


def test_every_row_gets_the_same_subsets_and_each_draw_is_another():
    rows = [_Oracle("a"), _Oracle("b")]
    _run(rows, fractions=(0.1,), num_draws=3)
    finals = [[c[0].tolist() for c in row.calls if c[2] is None] for row in rows]
    assert finals[0] == finals[1]
    assert len({tuple(index) for index in finals[0]}) == 3


def test_an_accuracy_tie_goes_to_the_lower_cross_entropy():
    row = _Oracle(qualities=(0.6, 0.95, 0.7))
    results = _run([row], fractions=(0.1,), num_draws=1)
    assert results[0]["setting"] == {"quality": 0.95}
    assert results[0]["held_out_accuracy"] == 1.0


def test_all_labels_are_one_draw_and_the_accuracy_is_that_of_the_test_images():
    class Wrong(_Oracle):
        def fit_predict(self, index, labels, *, setting, held_out=None):
            probabilities = super().fit_predict(index, labels, setting=setting, held_out=held_out)
            if held_out is None:
                probabilities[:50] = np.roll(probabilities[:50], 1, axis=1)
            return probabilities

    results = _run([Wrong()], fractions=(1.0,))
    assert [(r["draw"], r["num_labels"], r["accuracy"]) for r in results] == [(0, 200, 0.75)]


def test_one_label_a_class_cannot_be_held_out_and_takes_the_first_setting():
    row = _Oracle()
    fits = []
    results = _run([row], fractions=(0.01,), num_draws=1, on_fit=lambda: fits.append(1))
    assert results[0]["setting"] == {"quality": 0.2}
    assert results[0]["held_out_accuracy"] is None
    # A progress bar over num_fits must still reach its end.
    assert len(fits) == num_fits([row], fractions=(0.01,), num_draws=1)


def test_results_that_are_there_are_not_measured_again():
    before = []
    whole = _run([_Oracle()], fractions=(0.1, 1.0), num_draws=2, on_result=before.append)
    row, fits = _Oracle(), []
    again = _run(
        [row],
        fractions=(0.1, 1.0),
        num_draws=2,
        done=before[:2],
        on_fit=lambda: fits.append(1),
    )
    assert again == whole
    assert all(len(index) != 20 for index, _, held_out in row.calls if held_out is None)
    assert len(fits) == num_fits([row], fractions=(0.1, 1.0), num_draws=2)


def test_rows_with_different_numbers_of_trials_are_refused():
    with pytest.raises(ValueError, match=r"same number of tuning trials.*'a': 3, 'b': 1"):
        _run([_Oracle("a"), _Oracle("b", qualities=(0.5,))])
