"""choose_setting."""

import numpy as np
import pytest

from cpc_keras.evaluation import choose_setting

LABELS = (np.arange(80) % 4 == 0).astype(int)  # 60 and 20


class Row:
    """Of its settings one finds the frequent class alone, the other all of the rare one."""

    settings = ("frequent", "rare")

    def fit_predict(self, index, labels, *, setting, held_out):
        truth = LABELS[held_out]
        first = np.ones(len(truth)) if setting == "frequent" else truth == 0
        if setting == "rare":
            first = first * (np.cumsum(first) > 7)  # of 15 frequent ones, 7 are taken for rare
        return np.stack([0.8 * first + 0.1, 0.9 - 0.8 * first], axis=1)


@pytest.mark.parametrize(
    ("class_weight", "expected", "accuracy"),
    [(None, "frequent", 15 / 20), ("balanced", "rare", (8 / 15 + 1) / 2)],
)
def test_balanced_classes_choose_what_finds_each(class_weight, expected, accuracy):
    chosen, found = choose_setting(Row(), LABELS, np.arange(80), class_weight=class_weight)
    assert chosen == expected and found == pytest.approx(accuracy)


def test_another_class_weight_is_refused_also_where_nothing_is_chosen():
    with pytest.raises(ValueError, match="'balance'"):
        choose_setting(Row(), LABELS, np.array([0, 1]), class_weight="balance")
