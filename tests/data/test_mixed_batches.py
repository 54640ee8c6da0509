"""Mixed batches: their rows, their order, how they go on."""

import numpy as np
import pytest

from cpc_keras.data import mixed_batches

IMAGES = np.broadcast_to(np.arange(20, dtype="uint8")[:, None, None, None], (20, 4, 4, 1))
LABELS = np.arange(20) % 5
LABELED = np.array([1, 6, 12, 18])


def batches(**options):
    settings = {"batch_size": 6, "ratio": 2, "seed": 3, "epochs": 3, **options}
    dataset = mixed_batches(IMAGES, LABELS, LABELED, **settings)
    return [{k: v.numpy() for k, v in batch.items()} for batch in dataset]


def test_each_batch_has_its_share_of_labels_and_the_others_are_hidden():
    found = batches()
    assert len(found) == 3 * (20 // 6)
    for batch in found:
        known = batch["label"] >= 0
        assert known.tolist() == [True] * 2 + [False] * 4
        assert set(batch["index"][known]) <= set(LABELED)
        np.testing.assert_array_equal(batch["label"][known], LABELS[batch["index"][known]])
        np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], batch["index"])


def test_both_kinds_are_gone_through_before_one_comes_again():
    found = batches()
    labeled = np.concatenate([b["index"][:2] for b in found])[: 4 * 4].reshape(4, 4)
    assert all(sorted(row) == LABELED.tolist() for row in labeled)
    others = np.concatenate([b["index"][2:] for b in found])[:20]
    assert sorted(others) == list(range(20))  # labelled images too, with their labels hidden


@pytest.mark.parametrize(("epoch", "step"), [(0, 2), (1, 0), (2, 1)])
def test_it_goes_on_where_it_stopped(epoch, step):
    whole = batches()
    rest = batches(first_epoch=epoch, first_step=step, epochs=3 - epoch)
    assert len(rest) == len(whole) - 3 * epoch - step
    for a, b in zip(whole[3 * epoch + step :], rest, strict=True):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


def test_the_seed_decides():
    def order(seed):
        return np.concatenate([b["index"] for b in batches(seed=seed)]).tolist()

    assert order(3) == order(3) != order(4)


def test_ratio_zero_gives_labels_alone_and_few_images_come_more_than_once():
    found = batches(ratio=0)
    assert len(found) == 9 and all((b["label"] >= 0).all() for b in found)
    assert all(set(b["index"]) <= set(LABELED) for b in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 7}, "a multiple of 1 [+] ratio, such as 63"),
        ({"batch_size": 30}, "Expected at most 20"),
        ({"ratio": -1}, "whole ratio >= 0"),
        ({"first_step": 3}, "first_step 0 to 2"),
    ],
)
def test_bad_numbers_get_an_answer(options, message):
    with pytest.raises(ValueError, match=message):
        batches(**options)


def test_bad_labels_get_an_answer():
    for index in ([20], [], [-1], [0.5]):
        with pytest.raises(ValueError, match="Expected positions in the 20 images"):
            mixed_batches(IMAGES, LABELS, np.array(index), batch_size=4)
    with pytest.raises(ValueError, match="each of an image with a label"):
        mixed_batches(IMAGES, np.full(20, -1), LABELED, batch_size=4)
    with pytest.raises(ValueError, match=r"integers of shape \(20,\)"):
        mixed_batches(IMAGES, LABELS[:3], LABELED, batch_size=4)


@pytest.mark.parametrize("count", [2, 4])
def test_shares_together_are_the_batches(count):
    images = np.arange(24, dtype="uint8").reshape(24, 1, 1, 1)
    options = {"batch_size": 8, "ratio": 3, "epochs": 1, "seed": 2}
    labels, index = np.arange(24) % 3, np.array([1, 5, 7])
    whole = list(mixed_batches(images, labels, index, **options).as_numpy_iterator())
    parts = [
        list(mixed_batches(images, labels, index, share=(i, count), **options).as_numpy_iterator())
        for i in range(count)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert {len(share["image"]) for share in shares} == {8 // count}
        for key, value in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[key] for part in shares]), value)
