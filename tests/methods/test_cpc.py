"""cpc_v1 and cpc_v2: what the papers fix; small forms do not leak."""

import numpy as np
import pytest

from cpc_keras.evaluation import check_leakage
from cpc_keras.layers import GatedPixelCNN, MaskedContext
from cpc_keras.methods import cpc_v1, cpc_v2

SMALL = {
    "patch_encoder": "mlp",
    "patch_size": 8,
    "patch_stride": 4,
    "context_blocks": 1,
    "context_filters": 8,
}


def test_v1_is_the_paper_s_apart_from_the_encoder():
    model = cpc_v1(patch_encoder="mlp")
    assert model.image_shape == (256, 256, 1)
    assert model.grid == (7, 7)
    assert model.terms == ("down_2", "down_3", "down_4", "down_5", "down_6")
    assert isinstance(model.context_network, GatedPixelCNN)
    # Scores z^T W_k c on the codes themselves: as long as they are, and not scaled.
    images = np.zeros((1, 256, 256, 1), "uint8")
    outputs = model.network(images)
    assert outputs["targets"].shape == (1, 7, 7, 128)
    assert outputs["down_6"].shape == (1, 1, 7, 128)
    assert model.info_nce.scale == 1.0 and model.info_nce.similarity == "dot"
    # Mean-pooled codes are the features.
    grid = model.image_encoder(model.image_shape, return_grid=True)(images)["grid"]
    np.testing.assert_allclose(
        model.encoder(images), np.mean(grid, axis=(1, 2)), rtol=1e-4, atol=1e-5
    )


def test_v2_is_the_paper_s_apart_from_the_encoder():
    model = cpc_v2(patch_encoder="mlp")
    assert model.image_shape == (260, 260, 3)
    assert model.grid == (6, 6)
    assert set(model.terms) == {
        f"{direction}_{offset}"
        for direction in ("down", "up", "left", "right")
        for offset in (3, 4, 5)
    }
    network = model.context_network
    assert isinstance(network, MaskedContext)
    assert (network.num_blocks, network.filters) == (5, 256)
    assert model.network(np.zeros((1, 260, 260, 3)))["left_3"].shape == (1, 3, 6, 64)
    assert model.info_nce.scale == 0.1


@pytest.mark.parametrize(("method", "channels"), [(cpc_v1, 1), (cpc_v2, 3)])
def test_the_small_form_does_not_leak(method, channels):
    model = method((32, 32, channels), seed=0, **SMALL)
    assert check_leakage(model, positions=[(0, 0), (3, 3), (6, 6)], num_draws=1).ok
