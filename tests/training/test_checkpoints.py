"""Checkpoints."""

import errno
import json
import os
import resource
import zipfile

import keras
import numpy as np
import pytest

from cpc_keras.training.checkpoints import (
    all_checkpoints,
    damage_of,
    newest_checkpoint,
    save_checkpoint,
)


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def test_the_newest_two_are_kept_and_the_newest_is_found(model, tmp_path):
    for epoch in (1, 2, 10):
        save_checkpoint(model, tmp_path, epoch=epoch)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-0002.keras", "epoch-0010.keras"]
    found = newest_checkpoint(tmp_path)
    assert (found.epoch, found.step) == (10, 0)
    loaded = keras.saving.load_model(found.path)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_checkpoints_within_epochs_stand_in_the_order_of_their_steps(model, tmp_path):
    places = [(1, 0), (1, 900), (1, 1000000), (2, 0), (2, 3), (10, 0), (12345, 1)]
    for epoch, step in reversed(places):
        save_checkpoint(model, tmp_path, epoch=epoch, step=step, keep=9)
    assert [c[1:] for c in all_checkpoints(tmp_path)] == places
    assert newest_checkpoint(tmp_path, whole_epochs=True)[1:] == (10, 0)
    save_checkpoint(model, tmp_path, epoch=12345, step=2, keep=3)
    assert [c[1:] for c in all_checkpoints(tmp_path)] == [(10, 0), (12345, 1), (12345, 2)]
    save_checkpoint(model, tmp_path, epoch=12345, step=3, keep=1, keep_epoch=True)
    assert [c[1:] for c in all_checkpoints(tmp_path)] == [(10, 0), (12345, 3)]


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_files_take_no_place_of_the_newest(model, tmp_path, keep):
    for epoch in (5, 6):
        save_checkpoint(model, tmp_path, epoch=epoch).write_bytes(b"torn")
    for step in (1, 2, 3):
        path = save_checkpoint(model, tmp_path, epoch=4, step=step, keep=keep)
        assert newest_checkpoint(tmp_path).path == path
    assert len([c for c in all_checkpoints(tmp_path) if c.epoch == 4]) == keep


def test_the_state_comes_back_with_its_types(model, tmp_path):
    arrays = [np.arange(6, dtype="uint32").reshape(2, 3), np.float32([0.1, np.nan])]
    state = {"a": arrays, "b": {"c": [1, 0.1, None, "x", True]}, "d": np.float32(0.1)}
    save_checkpoint(model, tmp_path, epoch=1, state=state)
    found = newest_checkpoint(tmp_path).state()
    for before, after in zip(arrays, found["a"], strict=True):
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype
    assert found["b"] == state["b"]
    assert found["d"] == float(np.float32(0.1))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(model, tmp_path, damage, capsys):
    save_checkpoint(model, tmp_path, epoch=1)
    path = save_checkpoint(model, tmp_path, epoch=2)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    path.write_bytes({"truncated": content[:-100], "flipped": content, "empty": b""}[damage])
    assert newest_checkpoint(tmp_path)[1] == 1
    assert "epoch-0002.keras is damaged" in capsys.readouterr().out


def test_every_flipped_bit_and_every_cut_is_found(model, tmp_path):
    path = save_checkpoint(model, tmp_path, epoch=1)
    content = path.read_bytes()
    assert damage_of(path) is None
    rng = np.random.default_rng(0)
    # The end, where the archive's directory and the digest are, bit by bit; else here and there.
    places = [(i, b) for i in range(len(content) - 120, len(content)) for b in range(8)]
    places += [(int(i), int(i) % 8) for i in rng.integers(len(content), size=300)]
    for index, bit in places:
        damaged = bytearray(content)
        damaged[index] ^= 1 << bit
        path.write_bytes(damaged)
        assert damage_of(path), (index, bit)
    for length in [*range(len(content) - 80, len(content)), *rng.integers(len(content), size=50)]:
        path.write_bytes(content[: int(length)])
        assert damage_of(path), length
    path.write_bytes(content + b"\0")
    assert damage_of(path)


def test_files_of_earlier_versions_load_and_their_damage_is_found(model, tmp_path):
    path = tmp_path / "epoch-0007.keras"
    model.save(path)
    found = newest_checkpoint(tmp_path)
    assert (found.epoch, found.step, found.state()) == (7, 0, None)
    with zipfile.ZipFile(path) as archive:
        weights = archive.getinfo("model.weights.h5")
    content = bytearray(path.read_bytes())
    content[weights.header_offset + 200] ^= 1
    path.write_bytes(content)
    assert newest_checkpoint(tmp_path) is None


def test_no_directory_and_an_empty_one_hold_no_checkpoint(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "missing") is None


def test_a_partial_file_of_a_kill_is_no_checkpoint_and_goes_with_the_next(model, tmp_path):
    left = tmp_path / ".partial-epoch-0003.keras"
    left.write_bytes(b"half")
    assert newest_checkpoint(tmp_path) is None
    save_checkpoint(model, tmp_path, epoch=4)
    assert not left.exists()


@pytest.mark.parametrize("size", [100, 9000])
def test_a_full_disk_is_told_of_and_nothing_is_lost(model, tmp_path, size):
    # A limit on the size of files is the same to a writer, and needs no disk to be filled.
    save_checkpoint(model, tmp_path, epoch=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before["epoch-0001.keras"]) > size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(OSError, match=r"epoch-0002.*still there\. Make room") as caught:
            save_checkpoint(model, tmp_path, epoch=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_no_space_left_is_told_of_too(model, tmp_path, monkeypatch):
    save_checkpoint(model, tmp_path, epoch=1)

    def full(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(OSError, match=r"No space left on device while epoch-0002\.keras"):
        save_checkpoint(model, tmp_path, epoch=2)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001.keras"]


def test_what_is_in_the_archive_is_no_pickle(model, tmp_path):
    path = save_checkpoint(model, tmp_path, epoch=1, state={"a": np.zeros(3)})
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("cpc_keras.json")) == {"a": {"__array__": "array_0"}}
        assert set(archive.namelist()) == {
            "metadata.json",
            "config.json",
            "model.weights.h5",
            "cpc_keras.json",
            "cpc_keras.npz",
        }
    with pytest.raises(ValueError, match="array of objects"):
        save_checkpoint(model, tmp_path, epoch=2, state={"a": np.array([object()])})
    assert newest_checkpoint(tmp_path).epoch == 1
