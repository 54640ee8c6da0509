"""Features of many images, on many machines."""

import os
from collections.abc import Sequence

from cpc_keras.embedding.embedding_job import begin_embedding
from cpc_keras.embedding.open_encoder import open_encoder


def embed_on_beam(
    encoder: str | os.PathLike,
    spec: str,
    out: str | os.PathLike,
    *,
    image_size: tuple[int, int] | None = None,
    pixel_range: tuple[float, float] | None = None,
    batch_size: int = 64,
    shard_size: int = 4096,
    options: Sequence[str] = (),
) -> dict[str, int]:
    """As `embed_images` into Parquet, on an Apache Beam runner; needs the extra "beam".

    A shard is a unit of work. A runner may give it to several workers, or to one again after a
    failure: they write the same file, so that each image is there once. Images that cannot be read
    go to a side output, `unreadable-....csv`. Shards that are finished are not begun again.

    Every worker must reach encoder, images and `out` under the same paths (a shared file system).

    Args:
        encoder: path or name that `open_encoder` takes; each worker opens it once, checked.
        spec: see `image_source`.
        out: directory; made, or resumed. Of the same form as that of `embed_images`, which may have
            begun it.
        image_size: `(height, width)`, for an encoder that takes any; by default its own.
        pixel_range: `(low, high)`, the stored pixels that become 0 and 255; None is the whole range
            of 8 or 16 bits.
        batch_size: images at a time.
        shard_size: images a file.
        options: options of Beam, for example `["--runner=FlinkRunner", "--flink_master=host:8081"]`
            or `["--direct_num_workers=4", "--direct_running_mode=multi_processing"]`. By default
            Beam's local runner in this process.

    Returns:
        `{"images": ..., "unreadable": ..., "shards": ...}`.

    Raises:
        FileExistsError: the directory belongs to another embedding, or is none.
        ImportError: apache-beam is not installed.
        RuntimeError: the runner ended before all shards were done.

    Example:
        >>> embed_on_beam("saved_models/mine", "photos", "features")  # doctest: +SKIP
        {'images': 60000, 'unreadable': 3, 'shards': 15}
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    except ImportError as error:
        raise ImportError(
            f"embed_on_beam: apache-beam cannot be imported ({error}). Run: pip install "
            '"cpc-keras[beam]"'
        ) from error
    from cpc_keras.embedding.beam_step import EmbedShards

    job = begin_embedding(
        open_encoder(encoder),
        spec,
        out,
        image_size=image_size,
        pixel_range=pixel_range,
        file_format="parquet",
        shard_size=shard_size,
    )
    if job.pending:
        chosen = PipelineOptions(list(options))
        runner = chosen.view_as(StandardOptions).runner or "DirectRunner"
        if runner == "DirectRunner":
            # DirectRunner first looks for Prism, a program that it downloads; this one is here.
            runner = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
            chosen.view_as(StandardOptions).runner = None
        with beam.Pipeline(runner=runner, options=chosen) as pipeline:
            _ = (
                pipeline
                | "shards" >> beam.Create(job.pending)
                # Or the runner may fuse all shards into one bundle, on one worker.
                | "spread" >> beam.Reshuffle()
                | EmbedShards(os.fspath(encoder), job.source, job.output, batch_size=batch_size)
            )
    return job.summary()
