"""NT-Xent against the paper's equation, written slowly."""

import keras
import numpy as np
import pytest

from cpc_keras.losses import InfoNCE, NTXent


def codes(batch=5, dim=6, seed=0):
    return np.random.default_rng(seed).normal(size=(2, batch, dim)).astype("float32")


def slow(first, second, temperature):
    """Equation 1 of arXiv:2002.05709, views interleaved as there: 2k - 1 and 2k are a pair."""
    views = np.empty((2 * len(first), first.shape[1]))
    views[0::2], views[1::2] = first, second
    losses, hits = np.empty(len(views)), np.empty(len(views))
    for i, view in enumerate(views):
        j = i + 1 if i % 2 == 0 else i - 1
        scores = {
            k: view @ other / (np.linalg.norm(view) * np.linalg.norm(other)) / temperature
            for k, other in enumerate(views)
            if k != i
        }
        losses[i] = -np.log(np.exp(scores[j]) / sum(map(np.exp, scores.values())))
        hits[i] = all(scores[j] > s for k, s in scores.items() if k != j)
    # As ours: all first views, then all second ones.
    return (np.concatenate([x[0::2], x[1::2]]) for x in (losses, hits))


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("batch", [2, 5])
def test_loss_and_hits_are_the_paper_s(batch, temperature):
    first, second = codes(batch)
    second[0] = 1.3 * first[0] + 0.1 * second[0]  # a hit
    losses, hits = slow(first, second, temperature)
    contrast = NTXent(temperature).contrast(first, second)
    np.testing.assert_allclose(contrast.loss, losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(contrast.correct, hits)
    assert hits.sum() > 0
    np.testing.assert_allclose(contrast.log_num_candidates, np.log(2 * batch - 1), rtol=1e-6)
    assert NTXent().num_candidates(batch) == 2 * batch - 1
    np.testing.assert_allclose(float(NTXent(temperature)(first, second)), losses.mean(), rtol=1e-4)


def test_gradients_are_those_of_finite_differences():
    tf = pytest.importorskip("tensorflow")
    first, second = map(tf.constant, codes(3, 4))
    with tf.GradientTape() as tape:
        tape.watch((first, second))
        loss = NTXent(0.5)(first, second)
    gradients = tape.gradient(loss, (first, second))
    step = 1e-4
    for number in range(2):
        for place in ((0, 0), (2, 3)):
            moved = []
            for sign in (1, -1):
                pair = [x.numpy().astype("float64") for x in (first, second)]
                pair[number][place] += sign * step
                moved.append(next(iter(slow(*pair, 0.5))).mean())
            np.testing.assert_allclose(
                gradients[number][place], (moved[0] - moved[1]) / (2 * step), rtol=1e-2, atol=1e-5
            )


def test_codes_that_say_nothing_lose_ln_n_and_never_hit():
    same = np.ones((6, 4), "float32")
    contrast = NTXent(0.1).contrast(same, same)
    np.testing.assert_allclose(contrast.loss, np.log(11), rtol=1e-5)
    assert not np.any(contrast.correct)


def test_it_is_harder_than_info_nce_one_way():
    first, second = codes(8)
    one_way = InfoNCE(similarity="cosine", temperature=0.5)(second, first)
    assert float(NTXent(0.5)(first, second)) > float(one_way)


def test_scores_are_float32_in_half_precision():
    first, second = (keras.ops.cast(x, "bfloat16") for x in codes())
    loss = NTXent(0.1).contrast(first, second).loss
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    expected = NTXent(0.1).contrast(*(keras.ops.cast(x, "float32") for x in (first, second))).loss
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NTXent(0.0), "temperature must be greater than 0. Received: 0.0"),
        (lambda: NTXent().contrast(*codes(1)), "batch of 1 image"),
        (lambda: NTXent().contrast(codes()[0], codes(dim=3)[0]), r"\(5, 6\) and \(5, 3\)"),
        (lambda: NTXent().contrast(*np.zeros((2, 3, 4, 5), "float32")), "codes of two views"),
    ],
)
def test_what_cannot_be_scored_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_every_argument_survives_the_config():
    loss = NTXent(0.3, gather_candidates=False, name="other")
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert (again.temperature, again.gather_candidates, again.name) == (0.3, False, "other")
