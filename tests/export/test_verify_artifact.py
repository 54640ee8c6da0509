import json
import shutil

import pytest

from cpc_keras.export import ArtifactError, verify_artifact

FILES = [
    "README.md",
    "config.json",
    "fingerprint.pb",
    "golden.npz",
    "metadata.json",
    "model.weights.h5",
    "pretraining.keras",
    "saved_model.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
]


def edit(artifact, change):
    file = artifact / "preset.json"
    preset = json.loads(file.read_text())
    change(preset)
    file.write_text(json.dumps(preset))


def test_a_whole_artifact_passes_and_gives_its_facts(exported):
    preset = verify_artifact(str(exported))
    assert preset == json.loads((exported / "preset.json").read_text())
    assert sorted(preset["sha256"]) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found_and_named(artifact, name):
    content = bytearray((artifact / name).read_bytes())
    content[len(content) // 2] ^= 1
    (artifact / name).write_bytes(content)
    with pytest.raises(ArtifactError, match="differs from what was exported") as error:
        verify_artifact(artifact)
    assert str(artifact / name) in str(error.value)


@pytest.mark.parametrize("name", [*FILES, "preset.json"])
def test_a_missing_file_is_named(artifact, name):
    (artifact / name).unlink()
    with pytest.raises(ArtifactError, match="is missing") as error:
        verify_artifact(artifact)
    assert str(artifact / name) in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "pretraining.keras", "model.weights.h5"])
def test_a_loaded_file_that_is_not_listed_is_refused(artifact, name):
    edit(artifact, lambda preset: preset["sha256"].pop(name))
    with pytest.raises(ArtifactError, match=f"{name} is not listed"):
        verify_artifact(artifact)


@pytest.mark.parametrize("name", ["model.weights.npz", "assets/words.txt", "variables/a/b"])
def test_a_file_that_a_loader_would_read_may_not_be_added(artifact, name):
    (artifact / name).parent.mkdir(exist_ok=True)
    (artifact / name).write_text("added")
    with pytest.raises(ArtifactError, match="is not listed") as error:
        verify_artifact(artifact)
    assert str(artifact / name) in str(error.value)


def test_other_files_may_be_added(artifact):
    (artifact / "notes.txt").write_text("mine")
    (artifact / "assets").mkdir()
    verify_artifact(artifact)


@pytest.mark.parametrize("name", ["../secret", "variables/../../secret", "", "."])
def test_names_that_lead_out_are_refused(artifact, name):
    (artifact.parent / "secret").write_text("")
    edit(artifact, lambda preset: preset["sha256"].update({name: "0" * 64}))
    with pytest.raises(ArtifactError, match="lies outside") as error:
        verify_artifact(artifact)
    assert repr(name) in str(error.value)


def test_absolute_names_are_refused(artifact):
    name = str(artifact / "config.json")
    edit(artifact, lambda preset: preset["sha256"].update({name: "0" * 64}))
    with pytest.raises(ArtifactError, match="lies outside"):
        verify_artifact(artifact)


@pytest.mark.parametrize("name", ["config.json", "variables"])
def test_links_that_lead_out_are_refused(artifact, name):
    shutil.move(artifact / name, artifact.parent / "elsewhere")
    (artifact / name).symlink_to("../elsewhere")
    with pytest.raises(ArtifactError, match="lies outside"):
        verify_artifact(artifact)


def test_a_link_to_the_artifact_is_fine(artifact):
    (artifact.parent / "link").symlink_to(artifact)
    verify_artifact(artifact.parent / "link")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda preset: preset.update(format_version=2), "Received: 2.*upgrade"),
        (lambda preset: preset.pop("format_version"), "Received: None"),
        (lambda preset: preset.pop("sha256"), "a table from file names"),
        (lambda preset: preset.update(sha256={"config.json": 3}), "a table from file names"),
    ],
)
def test_another_format_is_told(artifact, change, message):
    edit(artifact, change)
    with pytest.raises(ArtifactError, match=message):
        verify_artifact(artifact)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_an_unreadable_preset_is_named(artifact, content):
    (artifact / "preset.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"preset\.json"):
        verify_artifact(artifact)


def test_a_path_without_an_artifact_is_told(artifact, tmp_path):
    for path, message in (
        (tmp_path / "nothing", "does not exist"),
        (artifact / "config.json", "is a file"),
        (tmp_path, r"preset\.json is missing"),
    ):
        with pytest.raises(ArtifactError, match=message):
            verify_artifact(path)
