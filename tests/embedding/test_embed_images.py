import importlib
import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cpc_keras.cli.embed import embed
from cpc_keras.embedding import embed_images, image_source, read_embedding

MODULE = importlib.import_module("cpc_keras.embedding.embed_images")


def check_features(directory, expected):
    names, features = read_embedding(directory)
    assert sorted(names) == sorted(expected)  # each once
    for name, feature in zip(names, features, strict=True):
        np.testing.assert_allclose(feature, expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("file_format", ["parquet", "npy"])
def test_every_readable_image_is_there_once_with_the_features_of_predict(
    encoder, photos, expected, tmp_path, file_format
):
    if file_format == "parquet":
        pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    out = tmp_path / "out"
    summary = embed_images(
        encoder, str(photos), out, file_format=file_format, batch_size=3, shard_size=4
    )
    assert summary == {"images": 13, "unreadable": 2, "shards": 4}
    check_features(out, expected)
    told = "".join(p.read_text() for p in sorted(out.glob("unreadable-*.csv")))
    assert "odd/torn.png" in told and "odd/empty.jpg,empty file" in told


def test_a_stopped_embedding_goes_on_with_what_is_left(
    encoder, photos, expected, tmp_path, monkeypatch
):
    out, done = tmp_path / "out", []
    embed_shard = MODULE.embed_shard

    def stopped_in_the_third(encoder, source, shard, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(shard.number)
        return embed_shard(encoder, source, shard, **options)

    options = {"file_format": "npy", "shard_size": 4}
    monkeypatch.setattr(MODULE, "embed_shard", stopped_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        embed_images(encoder, str(photos), out, **options)
    with pytest.raises(FileNotFoundError, match="2 of 4 files are missing"):
        read_embedding(out)
    before = {p: p.stat().st_mtime_ns for p in out.glob("features-*")}

    def noted(encoder, source, shard, **options):
        done.append(shard.number)
        return embed_shard(encoder, source, shard, **options)

    monkeypatch.setattr(MODULE, "embed_shard", noted)
    embed_images(encoder, str(photos), out, **options)
    assert done == [0, 1, 2, 3]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    check_features(out, expected)


def test_a_link_to_nothing_is_told_as_unreadable(encoder, photos, tmp_path):
    (photos / "lost.png").symlink_to(tmp_path / "nowhere.png")
    summary = embed_images(encoder, str(photos), tmp_path / "out", file_format="npy")
    assert summary["images"] == 14 and summary["unreadable"] == 3


def test_a_file_that_was_replaced_is_another_image(encoder, photos, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):
        embed_images(encoder, str(photos), out, file_format="npy")
    one, other = sorted(photos.rglob("0*.png"))[:2]
    shutil.copy(one, other)
    with pytest.raises(FileExistsError, match="images differ"):
        embed_images(encoder, str(photos), out, file_format="npy")


def test_an_embedding_with_other_images_weights_or_settings_is_refused(encoder, photos, tmp_path):
    out = tmp_path / "out"
    options = {"file_format": "npy", "shard_size": 5}
    embed_images(encoder, str(photos), out, **options)
    with pytest.raises(FileExistsError, match="num_shards, shard_sizes differ"):
        embed_images(encoder, str(photos), out, file_format="npy", shard_size=7)
    # As many shards that begin elsewhere.
    with pytest.raises(FileExistsError, match=r"\(shard_sizes differ"):
        embed_images(encoder, str(photos), out, file_format="npy", shard_size=6)
    other = keras.models.clone_model(encoder)
    with pytest.raises(FileExistsError, match="encoder differ"):
        embed_images(other, str(photos), out, **options)
    (photos / "train" / "00.png").rename(photos / "train" / "new.png")
    with pytest.raises(FileExistsError, match="images differ"):
        embed_images(encoder, str(photos), out, **options)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(FileExistsError, match="holds no embedding"):
        embed_images(encoder, str(photos), tmp_path / "mine", **options)


def test_a_failed_write_leaves_nothing_under_the_final_name(encoder, photos, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left"):
        embed_images(encoder, str(photos), tmp_path / "out", file_format="npy")
    assert not list((tmp_path / "out").glob("*features*"))


def test_features_that_are_not_finite_are_refused_by_name(encoder, photos, tmp_path):
    broken = keras.models.clone_model(encoder)
    broken.set_weights([np.full_like(w, np.nan) for w in encoder.get_weights()])
    with pytest.raises(ValueError, match=r"first for 'odd/deeper/04\.png'"):
        embed_images(broken, str(photos), tmp_path / "out", file_format="npy")


def test_parquet_files_give_the_same_features_as_the_files(encoder, expected, tmp_path, photos):
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    import pyarrow.parquet as parquet

    names = sorted(expected)
    data = [(photos / name).read_bytes() for name in names]
    plain = pa.table({"image": [*data[:6], b"no image", None], "name": [*names[:6], "bad", "null"]})
    nested = pa.table(
        {"image": [{"bytes": d, "path": n} for d, n in zip(data, names, strict=True)][6:]}
    )
    (tmp_path / "tables").mkdir()
    parquet.write_table(plain, tmp_path / "tables" / "a.parquet", row_group_size=3)
    parquet.write_table(nested, tmp_path / "tables" / "b.parquet")
    out = tmp_path / "out"
    summary = embed_images(encoder, f"parquet:{tmp_path / 'tables'}", out, batch_size=2)
    assert summary == {"images": 13, "unreadable": 2, "shards": 4}
    check_features(out, expected)


def scaled_by_100(photos):
    pixels = np.asarray(Image.open(photos / "train" / "00.png"))
    return np.rint(np.minimum(pixels * 2.55, 255))


def test_a_pixel_range_is_that_of_the_stored_pixels_and_belongs_to_the_embedding(photos, tmp_path):
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    out, options = tmp_path / "out", {"file_format": "npy"}
    embed_images(flat, str(photos), out, **options, pixel_range=(0, 100))
    names, features = read_embedding(out)
    pixels = features[names.index("train/00.png")].reshape(8, 8, 3)
    np.testing.assert_allclose(pixels, scaled_by_100(photos), atol=1)
    with pytest.raises(FileExistsError, match="pixel_range differ"):
        embed_images(flat, str(photos), out, **options)
    with pytest.raises(ValueError, match="the lower first"):
        embed_images(flat, str(photos), out, **options, pixel_range=(100, 0))


def test_images_in_parquet_files_have_a_pixel_range_too(photos, tmp_path):
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    import pyarrow.parquet as parquet

    image = (photos / "train" / "00.png").read_bytes()
    parquet.write_table(pa.table({"image": [image]}), tmp_path / "a.parquet")
    options = {"image_size": (8, 8), "channels": 3, "pixel_range": (0, 100)}
    source = image_source(str(tmp_path / "a.parquet"), **options)
    ((_, raw),) = source.items(source.shards[0])
    np.testing.assert_allclose(source.decode(raw), scaled_by_100(photos), atol=1)


def test_unknown_sources_and_columns_are_told(tmp_path):
    options = {"image_size": (8, 8), "channels": 3}
    with pytest.raises(ValueError, match='"folder:PATH", "tfds:NAME"'):
        image_source("nowhere", **options)
    with pytest.raises(ValueError, match="found no image"):
        image_source(str(tmp_path), **options)
    with pytest.raises(ValueError, match="shard_size must be 1"):
        image_source(str(tmp_path), shard_size=0, **options)
    pa = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"picture": [b""]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match='Expected one named "image"'):
        image_source(str(tmp_path / "a.parquet"), **options)


def test_tfds_gives_every_image_of_every_split_once(encoder, tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    images = np.random.default_rng(0).integers(0, 256, (42, 8, 8, 3), "uint8")

    class Builder(tfds.core.GeneratorBasedBuilder):
        name = "some"
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(8, 8, 3))})
            )

        def _split_generators(self, _):
            return {"train": self._part(0, 40), "test": self._part(40, 42)}

        def _part(self, start, stop):
            for row in range(start, stop):
                yield row, {"image": images[row]}

        def _generate_examples(self):
            raise NotImplementedError

    builder = Builder(data_dir=tmp_path / "tfds")
    # In two files, which TFDS would read in turns, 16 images each.
    config = tfds.download.DownloadConfig(num_shards=2)
    builder.download_and_prepare(download_config=config)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    embed_images(encoder, "tfds:some", tmp_path / "out", file_format="npy", shard_size=30)
    names, features = read_embedding(tmp_path / "out")
    assert names == [f"train/{n:09d}" for n in range(40)] + [f"test/{n:09d}" for n in range(2)]
    in_turn = tfds.ReadConfig(interleave_cycle_length=1)
    parts = [builder.as_dataset(s, read_config=in_turn) for s in ("train", "test")]
    ordered = [example["image"] for part in parts for example in tfds.as_numpy(part)]
    np.testing.assert_allclose(
        features, encoder.predict(np.stack(ordered), verbose=0), rtol=1e-6, atol=1e-6
    )


def test_the_command_opens_a_keras_file_and_tells_what_it_wrote(
    encoder, photos, expected, tmp_path
):
    encoder.save(tmp_path / "my.keras")
    arguments = [str(tmp_path / "my.keras"), "--data", str(photos), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(embed, [*arguments, "--format", "npy"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "13 images, 2 of them unreadable, in 1 files" in result.output
    check_features(tmp_path / "out", expected)
    assert json.loads((tmp_path / "out" / "embedding.json").read_text())["num_images"] == 13
    refused = CliRunner().invoke(embed, [*arguments, "--beam-options", "--runner=X"])
    assert refused.exit_code == 2 and "goes with --beam" in refused.output
