import datetime
import errno
import os
import platform
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from cpc_keras.export import check_golden, verify_artifact, write_artifact
from cpc_keras.methods import supervised
from cpc_keras.models import CPCModel
from cpc_keras.version import __version__


def tree(directory):
    return {
        p.relative_to(directory).as_posix(): p.read_bytes()
        for p in directory.rglob("*")
        if p.is_file()
    }


def failing(small_model, error, point):
    """The model, whose save raises, after something was done."""

    def save(path):
        point()
        raise error

    return types.SimpleNamespace(**{**vars(small_model), "save": save})


def test_the_directory_holds_what_the_contract_names(exported, small_model):
    assert set(tree(exported)) == {
        "README.md",
        "config.json",
        "fingerprint.pb",
        "golden.npz",
        "metadata.json",
        "model.weights.h5",
        "preset.json",
        "pretraining.keras",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    }
    assert set(verify_artifact(exported)["sha256"]) == set(tree(exported)) - {"preset.json"}
    with np.load(exported / "golden.npz") as golden:
        assert golden["images"].shape == (4, 4, 5, 2) and golden["images"].dtype == np.uint8
        assert np.ptp(golden["images"]) > 200
        features = small_model.encoder.predict(golden["images"], verbose=0)
        np.testing.assert_allclose(golden["features"], features, rtol=1e-4, atol=1e-3)
        assert golden["features"].dtype == np.float32


def test_what_is_recorded(small_model, tmp_path):
    scores = [{"protocol": "linear", "metric": "accuracy", "value": 0.25, "seeds": [0, 1]}]
    facts = {
        "command": "cpc-keras pretrain --data 'a | b'",
        "scores": scores,
        "data": "sixty photographs",
        "description": "Sees photographs.",
        "epochs": (3, 4),
    }
    write_artifact(small_model, tmp_path / "mine", facts=facts)
    preset = verify_artifact(tmp_path / "mine")
    created = datetime.datetime.fromisoformat(preset.pop("created"))
    age = datetime.datetime.now(datetime.UTC) - created
    assert datetime.timedelta(seconds=-2) < age < datetime.timedelta(minutes=5)
    preset.pop("sha256")
    assert preset == {
        "format_version": 1,
        "name": "mine",
        "method": "SimpleNamespace",  # not told: what it is
        "description": "Sees photographs.",
        "data": "sixty photographs",
        "command": "cpc-keras pretrain --data 'a | b'",
        "scores": scores,
        "licence": "Apache-2.0",
        "facts": {"epochs": [3, 4]},
        "model": {
            "class": "SimpleNamespace",
            "name": "small",
            "sizes": [1, 2],
            "layer": "Dense",
            "image_shape": [4, 5, 2],
            "feature_dim": 3,
            "num_parameters": 123,
        },
        "versions": {
            "cpc_keras": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    card = (tmp_path / "mine" / "README.md").read_text()
    for part in (
        "# mine\n",
        "Sees photographs.",
        "sixty photographs",
        "`[batch, 4, 5, 2]`",
        "`[batch, 3]`",
        "| linear | accuracy | 0.25 | [0, 1] |",
        "cpc-keras pretrain --data 'a | b'",
        "| epochs | [3, 4] |",
        'tf.keras.models.load_model("mine")',
        'TFSMLayer("mine"',
        'tf.saved_model.load("mine")',
    ):
        assert part in card


def test_the_python_of_the_model_card_runs(exported, monkeypatch):
    monkeypatch.chdir(exported.parent)
    code = (exported / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names = {}
    exec(code, names)
    np.testing.assert_allclose(names["features"], names["layer"](names["images"]), rtol=1e-5)
    assert names["classifier"](names["images"]).shape == (2, 10)


def test_two_exports_record_the_same_golden(exported, small_model, tmp_path):
    write_artifact(small_model, tmp_path / "again")
    assert (tmp_path / "again/golden.npz").read_bytes() == (exported / "golden.npz").read_bytes()


@pytest.mark.parametrize("there", ["artifact", "file", "folder", "link to a file"])
def test_what_is_there_is_refused(artifact, small_model, tmp_path, there):
    path = tmp_path / "there"
    if there == "artifact":
        path = artifact
    elif there == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("five years")
    else:
        (tmp_path / "thesis.txt").write_text("five years")
        path.symlink_to("thesis.txt") if "link" in there else path.write_text("ten")
    before = tree(tmp_path)
    with pytest.raises(FileExistsError, match="is there already") as error:
        write_artifact(small_model, path)
    assert os.path.realpath(path) in str(error.value)
    assert ("Pass overwrite=True" in str(error.value)) == (there == "artifact")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.txt": "five years"},
        {"config.json": "{}", "train.py": ""},
        # Another program's file of the same name.
        {"preset.json": '{"synth": 3}'},
        {"preset.json": "not json"},
        {"saved_model.pb": "", "config.json": "{}", "thesis.txt": "five years"},
    ],
)
def test_overwrite_replaces_nothing_but_artifacts(small_model, tmp_path, files):
    path = tmp_path / "there"
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    before = tree(tmp_path)
    with pytest.raises(FileExistsError, match="Nothing but an artifact is ever replaced"):
        write_artifact(small_model, path, overwrite=True)
    assert tree(tmp_path) == before


def test_overwrite_keeps_files_that_were_put_into_an_artifact(artifact, small_model):
    (artifact / "notes.txt").write_text("mine")
    before = tree(artifact)
    with pytest.raises(FileExistsError, match=r"holds what no export wrote \(notes.txt\)"):
        write_artifact(small_model, artifact, overwrite=True)
    assert tree(artifact) == before


def test_overwrite_replaces_an_artifact(artifact, small_model):
    write_artifact(small_model, artifact, overwrite=True, facts={"description": "second"})
    assert verify_artifact(artifact)["description"] == "second"
    assert os.listdir(artifact.parent) == [artifact.name]


def test_overwrite_replaces_what_keras_wrote(small_model, tmp_path):
    path = tmp_path / "plain"
    keras.saving.save_model(small_model.encoder, path, zipped=False)
    small_model.encoder.export(path, verbose=False)
    write_artifact(small_model, path, overwrite=True)
    verify_artifact(path)


def test_overwrite_goes_through_a_link(artifact, small_model, tmp_path):
    (tmp_path / "link").symlink_to(artifact)
    write_artifact(small_model, tmp_path / "link", overwrite=True, facts={"description": "through"})
    assert (tmp_path / "link").is_symlink()
    assert verify_artifact(artifact)["description"] == "through"


def test_an_empty_directory_and_missing_parents_are_fine(small_model, tmp_path):
    write_artifact(small_model, tmp_path / "a" / "b")
    verify_artifact(tmp_path / "a" / "b")
    (tmp_path / "empty").mkdir()
    write_artifact(small_model, tmp_path / "empty")
    verify_artifact(tmp_path / "empty")


@pytest.mark.parametrize("old", [True, False])
def test_a_full_disk_leaves_what_was_there(artifact, small_model, tmp_path, old):
    path = artifact if old else tmp_path / "new"
    before = tree(tmp_path)
    partials = []
    model = failing(
        small_model,
        OSError(errno.ENOSPC, "No space left on device"),
        lambda: partials.extend(tmp_path.glob(".*.partial-*/saved_model.pb")),
    )
    with pytest.raises(OSError, match="No space left"):
        write_artifact(model, path, overwrite=True)
    assert len(partials) == 1
    assert tree(tmp_path) == before
    assert os.listdir(tmp_path) == [artifact.name]


def test_a_failed_rename_brings_the_old_one_back(artifact, small_model, monkeypatch):
    before, rename = tree(artifact), os.rename

    def failing_rename(source, target):
        if ".partial-" in str(source):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing_rename)
    with pytest.raises(OSError, match="Input/output"):
        write_artifact(small_model, artifact, overwrite=True)
    assert tree(artifact) == before
    assert os.listdir(artifact.parent) == [artifact.name]


def test_what_appears_during_an_export_is_not_replaced(small_model, tmp_path):
    path = tmp_path / "mine"

    def save(file):
        small_model.save(file)
        path.mkdir()
        (path / "thesis.txt").write_text("five years")

    model = types.SimpleNamespace(**{**vars(small_model), "save": save})
    with pytest.raises(FileExistsError):
        write_artifact(model, path, overwrite=True)
    assert tree(tmp_path) == {"mine/thesis.txt": b"five years"}
    assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"overwrit": True}, TypeError, r"unknown arguments \['overwrit'\]"),
        ({"is_static": True}, ValueError, "only supported with the jax backend"),
        ({"facts": {"score": np.float32(1)}}, TypeError, "float32 is not JSON serializable"),
        ({"facts": {"score": float("nan")}}, TypeError, "finite numbers"),
        ({"path": "gs://bucket/mine"}, ValueError, "on this machine"),
        ({"path": "mine.keras"}, ValueError, "not ending in .keras"),
        ({"path": ""}, ValueError, "path of a directory"),
        ({"path": "/"}, ValueError, "path of a directory"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(
    small_model, tmp_path, monkeypatch, arguments, error, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        write_artifact(small_model, **{"path": "mine", **arguments})
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_place_of_a_parent_is_named(small_model, tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "mine", tmp_path / "file" / "a" / "mine"):
        with pytest.raises(NotADirectoryError, match="cannot be made a directory"):
            write_artifact(small_model, path)


def test_another_backend_is_told_the_way(small_model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(NotImplementedError, match=r"model\.save.*KERAS_BACKEND=tensorflow"):
        write_artifact(small_model, tmp_path / "mine")
    assert os.listdir(tmp_path) == []


def test_verbose_tells_the_final_path(small_model, tmp_path, capfd):
    write_artifact(small_model, tmp_path / "quiet")
    assert "artifact" not in capfd.readouterr().out
    write_artifact(small_model, tmp_path / "loud", verbose=True)
    out = capfd.readouterr().out
    assert str(tmp_path / "loud") in out and ".partial" not in out


@pytest.fixture(scope="module")
def cpc():
    return CPCModel(
        (8, 8, 1),
        patch_encoder=keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 4)]),
        patch_size=4,
        patch_stride=2,
        offsets=(2,),
        directions=("down",),
        context_blocks=1,
        context_filters=4,
        patch_augmentation=None,
    )


def test_the_arguments_of_keras_keep_working(cpc, tmp_path):
    cpc.export(str(tmp_path / "plain"), "tf_saved_model", verbose=False)
    signature = [keras.InputSpec(shape=(2, 8, 8, 1), dtype="float32", name="two_images")]
    cpc.export(tmp_path / "two", input_signature=signature, facts={"data": "none"})
    assert verify_artifact(tmp_path / "two")["data"] == "none"
    for name, batch in (("plain", None), ("two", 2)):
        check_golden(tmp_path / name)
        saved = tf.saved_model.load(tmp_path / name)
        for key in ("serve", "serving_default"):
            (spec,) = saved.signatures[key].structured_input_signature[1].values()
            assert spec.shape.as_list() == [batch, 8, 8, 1]
        (spec,) = saved.signatures["serve_uint8"].structured_input_signature[1].values()
        assert spec.shape.as_list() == [None, 8, 8, 1] and spec.dtype == tf.uint8


def test_other_formats_go_to_keras(cpc, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(cpc.encoder, "export", lambda *args, **kwargs: calls.append((args, kwargs)))
    cpc.export("encoder.onnx", format="onnx", verbose=True, opset_version=18)
    assert calls == [
        (("encoder.onnx", "onnx"), {"verbose": True, "input_signature": None, "opset_version": 18})
    ]


def test_sixteen_bit_encoders_export(tmp_path):
    images = keras.Input((4, 4, 1))
    x = keras.layers.Dense(3, dtype="mixed_bfloat16")(keras.layers.Flatten()(images))
    encoder = keras.Model(images, keras.layers.Activation("linear", dtype="float32")(x))
    model = types.SimpleNamespace(
        encoder=encoder,
        image_shape=(4, 4, 1),
        get_config=lambda: {"dtype": keras.DTypePolicy("mixed_bfloat16").get_config()},
        save=encoder.save,
    )
    write_artifact(model, tmp_path / "mine")
    check_golden(tmp_path / "mine")
    saved = tf.saved_model.load(tmp_path / "mine")
    image = np.full((1, 4, 4, 1), 200, "uint8")
    np.testing.assert_allclose(saved.serve_uint8(image), encoder(image), rtol=0.02, atol=0.1)


def test_the_card_of_an_encoder_that_saw_labels_says_so(tmp_path):
    model = supervised((8, 8, 1), num_classes=2, encoder="mlp")
    model.export(tmp_path / "mine", verbose=False)
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "trained with labels" in card and "without labels" not in card
    assert f"- Method: {type(model).__name__}\n" in card
