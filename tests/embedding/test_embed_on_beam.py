import subprocess
import sys

import numpy as np
import pytest

from cpc_keras.embedding import embed_images, embed_on_beam, read_embedding

pytestmark = pytest.mark.slow
beam = pytest.importorskip("apache_beam", reason="the extra beam is not installed")


@pytest.fixture
def saved(encoder, tmp_path):
    encoder.save(tmp_path / "my.keras")
    return str(tmp_path / "my.keras")


def test_beam_gives_what_one_machine_gives(saved, encoder, photos, expected, tmp_path):
    summary = embed_on_beam(saved, str(photos), tmp_path / "out", batch_size=3, shard_size=4)
    assert summary == {"images": 13, "unreadable": 2, "shards": 4}
    names, features = read_embedding(tmp_path / "out")
    assert sorted(names) == sorted(expected)
    for name, feature in zip(names, features, strict=True):
        np.testing.assert_allclose(feature, expected[name], rtol=1e-6, atol=1e-6)
    embed_images(encoder, str(photos), tmp_path / "plain", batch_size=3, shard_size=4)
    plain_names, plain = read_embedding(tmp_path / "plain")
    assert names == plain_names
    np.testing.assert_array_equal(features, plain)


def test_several_processes_and_a_killed_run_leave_every_image_once(
    saved, photos, expected, tmp_path
):
    out = tmp_path / "out"
    # The first run dies in its third shard, with two written.
    killed = f"""
import os
from cpc_keras.embedding import embed_on_beam
from cpc_keras.embedding.output_directory import OutputDirectory
write, done = OutputDirectory.write, []
def dying(self, shard, result):
    if len(done) == 2:
        os._exit(9)
    write(self, shard, result)
    done.append(shard)
OutputDirectory.write = dying
embed_on_beam({saved!r}, {str(photos)!r}, {str(out)!r}, shard_size=3)
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    finished = {p: p.stat().st_mtime_ns for p in out.glob("features-*.parquet")}
    assert len(finished) == 2
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    summary = embed_on_beam(saved, str(photos), out, shard_size=3, options=options)
    assert summary == {"images": 13, "unreadable": 2, "shards": 5}
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    names, _ = read_embedding(out)
    assert sorted(names) == sorted(expected)


def test_the_side_output_names_what_cannot_be_read(saved, photos, tmp_path):
    from apache_beam.testing.test_pipeline import TestPipeline
    from apache_beam.testing.util import assert_that, equal_to

    from cpc_keras.embedding import image_source
    from cpc_keras.embedding.beam_step import EmbedShards
    from cpc_keras.embedding.output_directory import OutputDirectory

    source = image_source(str(photos), image_size=(8, 8), channels=3, shard_size=5)
    output = OutputDirectory(tmp_path / "out", file_format="parquet", num_shards=3)
    output.claim({})
    runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
    with TestPipeline(runner=runner) as pipeline:
        result = pipeline | beam.Create(source.shards) | EmbedShards(saved, source, output)
        names = result.unreadable | beam.Map(lambda pair: pair[0])
        assert_that(names, equal_to(["odd/torn.png", "odd/empty.jpg"]), label="unreadable")
        counts = result.done | beam.Map(lambda pair: pair[1]) | beam.CombineGlobally(sum)
        assert_that(counts, equal_to([11]), label="done")
