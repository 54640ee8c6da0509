import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.embedding import open_encoder
from cpc_keras.export import ArtifactError
from cpc_keras.training import Recipe, pretrain

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), "uint8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a checkpoint and an artifact."""
    directory = tmp_path_factory.mktemp("runs") / "mine"
    model = pretrain(
        lambda: CPCModel(
            (8, 8, 1),
            patch_encoder="mlp",
            patch_size=4,
            patch_stride=2,
            offsets=(2,),
            directions=("down",),
            context_blocks=1,
            context_filters=4,
            patch_augmentation=None,
        ),
        IMAGES,
        run_directory=directory,
        recipe=Recipe(num_epochs=1, batch_size=4),
    )
    model.export(directory / "artifact")
    return directory


def test_a_run_its_artifact_and_its_checkpoint_give_one_encoder(run, tmp_path):
    expected = np.asarray(open_encoder(run)(IMAGES))
    assert expected.shape == (8, 128)
    np.testing.assert_array_equal(open_encoder(str(run / "artifact"))(IMAGES), expected)
    (checkpoint,) = (run / "checkpoints").glob("*.keras")
    np.testing.assert_allclose(open_encoder(checkpoint)(IMAGES), expected, rtol=1e-6)
    unfinished = tmp_path / "unfinished"
    (unfinished / "checkpoints").mkdir(parents=True)
    (unfinished / "checkpoints" / checkpoint.name).write_bytes(checkpoint.read_bytes())
    np.testing.assert_allclose(open_encoder(unfinished)(IMAGES), expected, rtol=1e-6)


def test_what_holds_no_encoder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no readable checkpoint"):
        open_encoder(tmp_path)
    with pytest.raises(ValueError, match="No preset is called"):
        open_encoder("no_such_preset")
    (tmp_path / "torn.keras").write_bytes(b"PK")
    with pytest.raises(ArtifactError, match=r"torn\.keras"):
        open_encoder(tmp_path / "torn.keras")


def test_any_model_serves_as_an_encoder(tmp_path):
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]).save(tmp_path / "m.keras")
    assert open_encoder(tmp_path / "m.keras").output_shape == (None, 64)
