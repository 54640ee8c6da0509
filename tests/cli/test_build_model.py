"""The model of a recipe, for images of a shape."""

import dataclasses

import pytest

from cpc_keras.cli.pretrain import build_model
from cpc_keras.training import Recipe

SMALL = Recipe(model={"patch_encoder": "mlp", "context_blocks": 1, "directions": ["down"]})


def test_a_grid_of_very_many_patches_is_told_with_the_papers_way_out(capsys):
    model = build_model(SMALL, (112, 112, 1))
    told = capsys.readouterr().err
    assert "grid is 27x27, and a step encodes 46,656" in told  # 64 images
    assert "7x7: --patch-size 28 --patch-stride 14." in told
    assert model.grid == (27, 27)
    larger = {**SMALL.model, "patch_size": 28, "patch_stride": 14}
    assert build_model(dataclasses.replace(SMALL, model=larger), (112, 112, 1)).grid == (7, 7)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("shape", [(32, 32, 1), (64, 64, 3)])
def test_usual_grids_are_passed_in_silence(shape, capsys):
    build_model(SMALL, shape)
    assert not capsys.readouterr().err
