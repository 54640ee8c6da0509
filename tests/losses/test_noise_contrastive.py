"""Noise-contrastive estimation, against the paper's formulas written out."""

import numpy as np

from cpc_keras.losses import noise_contrastive


def test_the_loss_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    positive, negatives = rng.normal(size=5) * 4, rng.normal(size=(5, 7)) * 4
    found = noise_contrastive(positive, negatives, log_z=3.2, num_classes=50)
    z, n, m = np.exp(3.2), 50, 7
    for loss, own, others in zip(np.asarray(found), positive, negatives, strict=True):

        def probability(score):
            p = np.exp(score) / z
            return p / (p + m / n)

        expected = -np.log(probability(own)) - sum(np.log(1 - probability(s)) for s in others)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_nothing_overflows_or_is_capped():
    loss = noise_contrastive(np.float32([-200]), np.float32([[300, -300]]), log_z=0, num_classes=2)
    np.testing.assert_allclose(loss, [500.0], rtol=1e-6)
