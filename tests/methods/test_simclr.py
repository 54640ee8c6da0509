"""simclr: what the paper fixes."""

import numpy as np
import pytest

from cpc_keras.losses import NTXent
from cpc_keras.methods import simclr
from cpc_keras.models import describe


def some_images(count=8, channels=3):
    """Coarse patterns, of which a crop can be recognised."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 4, 4, channels), "uint8")
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.mark.parametrize(("side", "temperature", "blurs"), [(32, 0.5, False), (96, 0.1, True)])
def test_settings_follow_the_size_of_the_images(side, temperature, blurs):
    model = simclr((side, side, 3), encoder="tiny", seed=0)
    assert isinstance(model.info_nce, NTXent)
    np.testing.assert_allclose(model.info_nce.temperature, temperature)
    stack = model.views.augmentation.layers
    assert any("RandomBlur" in str(x.get_config()) for x in stack) == blurs
    # A hidden layer as long as the features, and 128 numbers to compare.
    assert [x.output.shape[-1] for x in model.head.layers] == [64, 64, 128]
    assert model.encoder.output_shape == (None, 64)
    told = describe(model, batch_size=16).scores["pair"]
    assert (told.num_predictions, told.num_candidates, told.dim) == (32, 31, 128)


def test_the_model_s_loss_is_nt_xent_of_its_two_halves():
    model = simclr((32, 32, 3), encoder="tiny", seed=0)
    outputs = model(some_images())
    expected = NTXent(0.5)(outputs["targets"], outputs["predictions"])
    np.testing.assert_allclose(model.compute_loss(y_pred=outputs), expected, rtol=1e-5)


def test_asking_both_ways_goes_with_cosines_and_all_candidates():
    with pytest.raises(ValueError, match=r"symmetric=True goes with .*candidates='sampled'"):
        simclr((32, 32, 3), encoder="tiny", candidates="sampled", num_negatives=3)
