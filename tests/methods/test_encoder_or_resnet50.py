"""Methods whose paper has a whole ResNet-50 have it where no encoder is named."""

import pytest

from cpc_keras.methods import instance_discrimination, simclr, supervised
from cpc_keras.training import RECIPES


@pytest.mark.parametrize(
    "build",
    [simclr, supervised, lambda shape: instance_discrimination(shape, num_images=8)],
    ids=["simclr", "supervised", "instance_discrimination"],
)
def test_the_default_encoder_is_resnet_50(build):
    model = build((16, 16, 3))
    assert model.encoder.output_shape == (None, 2048)
    assert 23_400_000 < model.encoder.count_params() < 23_600_000


def test_the_recipes_of_these_papers_name_no_other():
    for name in ("simclr", "supervised", "instance_discrimination"):
        assert "encoder" not in RECIPES[f"{name}_imagenet"].model
