"""Checkpoints."""

import keras
import numpy as np
import pytest

from cpc_keras.training.checkpoints import newest_checkpoint, save_checkpoint


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def test_the_newest_two_are_kept_and_the_newest_is_found(model, tmp_path):
    for epoch in (1, 2, 10):
        save_checkpoint(model, tmp_path, epoch=epoch)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-0002.keras", "epoch-0010.keras"]
    path, epoch = newest_checkpoint(tmp_path)
    assert epoch == 10
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


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


def test_no_directory_and_an_empty_one_hold_no_checkpoint(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "missing") is None


def test_a_partial_file_of_a_kill_is_no_checkpoint(tmp_path):
    (tmp_path / ".partial-epoch-0003.keras").write_bytes(b"half")
    assert newest_checkpoint(tmp_path) is None
