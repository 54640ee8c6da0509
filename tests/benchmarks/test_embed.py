"""The benchmark of embedding: both ways give the same, and the page says what the file holds."""

import json

import keras
import numpy as np
import pytest

from benchmarks import embed


def test_both_ways_are_timed_and_give_the_same_features(monkeypatch):
    def small(name):
        keras.utils.set_random_seed(0)
        return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])

    monkeypatch.setattr(embed, "build", small)
    monkeypatch.setattr(embed, "BATCH_SIZE", 4)
    found = embed.measure(6, 2, encoders=("tiny, 32 pixels",))
    (entry,) = found["encoders"].values()
    assert entry["greatest difference of features"] == 0
    plain, ours = (entry["seconds"][way] for way in ("plain loop", "embed_images"))
    ratio = entry["throughput, embed_images to plain loop"]
    assert ratio == pytest.approx(plain / ours, rel=0.01)
    for way, (low, high) in entry["fastest and slowest"].items():
        assert 0 < low <= entry["seconds"][way] <= high


def test_photos_are_jpeg_of_the_size_that_is_told_and_differ(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    files = sorted(embed.make_photos(tmp_path / "photos", 2).iterdir())
    pictures = [Image.open(file) for file in files]
    assert [(x.format, x.size) for x in pictures] == [("JPEG", (embed.FILE_SIDE,) * 2)] * 2
    assert np.abs(np.asarray(pictures[0], int) - np.asarray(pictures[1], int)).mean() > 10


def test_the_table_goes_between_its_marks(tmp_path):
    entry = {
        "images_per_second": {"plain loop": 1234.4, "embed_images": 2468.8},
        "throughput, embed_images to plain loop": 2.0,
    }
    machine = {"cores": 2, "processor": "P", "tensorflow": "t", "keras": "k"}
    found = {"machine": machine, "images": 9, "file_side": 8, "batch_size": 4, "rounds": 3}
    found["encoders"] = {"tiny": entry}
    page = tmp_path / "page.md"
    page.write_text(f"before\n{embed.MARK}\nold\n{embed.END}\nafter\n")
    embed.write_table(found, page)
    told = page.read_text()
    assert "| tiny | 1,234 | 2,469 | 2.00 |" in told and "old" not in told
    assert told.startswith("before\n") and told.endswith("\nafter\n")


@pytest.mark.skipif(not embed.RESULTS.exists(), reason="no results are published")
def test_the_page_tells_what_the_file_holds():
    assert embed.table(json.loads(embed.RESULTS.read_text())) in embed.PAGE.read_text("utf-8")
