import json
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from cpc_keras.export import ArtifactError, check_keras_file, load_keras_file
from cpc_keras.training import load_newest


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")]).save(path)
    return path


@pytest.fixture
def file(saved, tmp_path):
    return shutil.copy(saved, tmp_path / "mine.keras")


def rewrite(file, *, change=None, add=()):
    """The archive anew, with members changed (name to bytes, None: left out) and added."""
    change = change or {}
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members = {k: v for k, v in {**members, **change}.items() if v is not None}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in [*members.items(), *add]:
            archive.writestr(name, data)


def config_of(file):
    with zipfile.ZipFile(file) as archive:
        return json.loads(archive.read("config.json"))


def test_a_model_that_keras_wrote_passes_as_file_and_as_directory(file, tmp_path):
    assert check_keras_file(file)["class_name"] == "Sequential"
    model = load_keras_file(file)
    keras.saving.save_model(model, tmp_path / "open", zipped=False)
    assert check_keras_file(tmp_path / "open")["class_name"] == "Sequential"
    np.testing.assert_array_equal(
        load_keras_file(tmp_path / "open")(np.ones((1, 3))), model(np.ones((1, 3)))
    )


def test_a_lambda_layer_is_refused_by_every_door_and_never_run(tmp_path):
    harm = tmp_path / "harm"
    layer = keras.layers.Lambda(
        lambda x, path=str(harm): open(path, "w").close() or x,
        name="evil",
        output_shape=(3,),
    )
    inner = keras.Sequential([keras.Input((3,)), layer])
    model = keras.Sequential([keras.Input((3,)), inner])
    model.save(tmp_path / "evil.keras")
    keras.saving.save_model(model, tmp_path / "open", zipped=False)
    harm.unlink(missing_ok=True)
    for load in (check_keras_file, load_keras_file, load_newest):
        with pytest.raises(ArtifactError, match="holds a Lambda layer, 'evil'"):
            load(tmp_path / "evil.keras")
    with pytest.raises(ArtifactError, match="holds a Lambda layer, 'evil'"):
        load_keras_file(tmp_path / "open")
    # Also where somebody has turned Keras's own guard off for the whole process.
    keras.config.enable_unsafe_deserialization()
    try:
        with pytest.raises(ArtifactError, match="Lambda"):
            load_keras_file(tmp_path / "evil.keras")
    finally:
        keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", None)
    assert not harm.exists()


def test_a_function_stored_as_code_outside_a_lambda_layer_is_refused(file):
    config = config_of(file)
    config["config"]["layers"][1]["config"]["activation"] = {
        "class_name": "__lambda__",
        "config": {"value": "4wEAAAA="},
    }
    rewrite(file, change={"config.json": json.dumps(config)})
    with pytest.raises(ArtifactError, match="holds a Lambda"):
        load_keras_file(file)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "assets/../../x", "a\\..\\..\\x"])
def test_a_member_outside_the_directory_is_refused(file, name):
    rewrite(file, add=[(name, b"x")])
    with pytest.raises(ArtifactError, match="leads out of its directory"):
        check_keras_file(file)


def test_a_link_in_the_archive_is_refused(file):
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = 0o120777 << 16
    rewrite(file, add=[(link, b"/etc")])
    with pytest.raises(ArtifactError, match="leads out of its directory"):
        check_keras_file(file)


def test_members_that_keras_did_not_write_and_double_ones_are_refused(file, recwarn):
    rewrite(file, add=[("hello.py", b"")])
    with pytest.raises(ArtifactError, match=r"holds 'hello\.py'\. Expected"):
        check_keras_file(file)
    rewrite(file, change={"hello.py": None}, add=[("config.json", b"{}")])
    with pytest.raises(ArtifactError, match=r"2 members 'config\.json'"):
        check_keras_file(file)


@pytest.mark.parametrize("kind", ["external link", "soft link", "external data", "virtual"])
def test_weights_that_lead_elsewhere_are_refused(saved, tmp_path, kind):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as other:
        other["data"] = np.zeros(3)
    model = tmp_path / "open"
    keras.saving.save_model(keras.saving.load_model(saved), model, zipped=False)
    with h5py.File(model / "model.weights.h5", "a") as weights:
        group = weights["layers"]
        if kind == "external link":
            group["x"] = h5py.ExternalLink(str(secret), "/data")
        elif kind == "soft link":
            group["x"] = h5py.SoftLink("/layers")
        elif kind == "external data":
            group.create_dataset("x", (3,), "f8", external=[(str(secret), 0, 24)])
        else:
            layout = h5py.VirtualLayout((3,), "f8")
            layout[:] = h5py.VirtualSource(str(secret), "data", (3,))
            group.create_virtual_dataset("x", layout)
    with pytest.raises(ArtifactError, match="leads to another file or place"):
        load_keras_file(model)


def test_damage_is_told_with_file_and_place(file, tmp_path):
    data = bytearray(file.read_bytes())
    place = data.find(b"class_name")
    data[place] ^= 1
    file.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"checksum of 'config\.json' does not fit"):
        load_keras_file(file)
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtifactError, match=r"mine\.keras is damaged"):
        load_keras_file(file)
    with pytest.raises(ArtifactError, match="does not exist"):
        load_keras_file(tmp_path / "nothing.keras")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match=r"config\.json is missing"):
        load_keras_file(tmp_path / "empty")


@pytest.mark.parametrize(
    ("member", "data", "message"),
    [
        ("config.json", b"{", "is no JSON"),
        ("config.json", b"[" * 100_000, "is no JSON"),
        ("config.json", b"[]", "does not describe a model"),
        ("config.json", b'{"class_name": "Sequential", "config": 3}', "Keras cannot load"),
        ("model.weights.h5", b"no weights", r"model\.weights\.h5 is damaged"),
        ("model.weights.h5", None, "0 members"),
    ],
)
def test_members_that_make_no_model_are_told(file, member, data, message):
    rewrite(file, change={member: data})
    with pytest.raises(ArtifactError, match=message):
        load_keras_file(file)
