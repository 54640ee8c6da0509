import keras
import numpy as np
import pytest

from cpc_keras.export import ArtifactError, check_golden


def test_an_artifact_computes_what_it_computed(exported):
    check_golden(exported)
    check_golden(str(exported))


def change_weights(artifact, factor):
    encoder = keras.saving.load_model(artifact)
    encoder.set_weights([factor * w for w in encoder.get_weights()])
    encoder.save_weights(artifact / "model.weights.h5")


def test_other_weights_are_found_and_the_tolerance_counts(artifact):
    change_weights(artifact, 1.001)
    with pytest.raises(ArtifactError, match=r"weights .* are not those whose digest"):
        check_golden(artifact, rtol=1e9)
    with np.load(artifact / "golden.npz") as golden:
        images, features = golden["images"], golden["features"]
    np.savez(artifact / "golden.npz", images=images, features=features)  # as before 0.2
    with pytest.raises(ArtifactError, match=r"deviate by .* rtol=0\.0001"):
        check_golden(artifact)
    check_golden(artifact, rtol=0.002)
    change_weights(artifact, np.nan)
    with pytest.raises(ArtifactError, match="deviate by nan"):
        check_golden(artifact, rtol=1e9)


def test_another_shape_is_told(artifact):
    with np.load(artifact / "golden.npz") as golden:
        images, features = golden["images"], golden["features"]
    np.savez(artifact / "golden.npz", images=images, features=features[:, :2])
    with pytest.raises(ArtifactError, match=r"shape \(4, 3\)\. Expected \(4, 2\)"):
        check_golden(artifact)


def test_missing_features_are_told(artifact):
    (artifact / "golden.npz").unlink()
    with pytest.raises(ArtifactError, match=r"golden\.npz is missing"):
        check_golden(artifact)
