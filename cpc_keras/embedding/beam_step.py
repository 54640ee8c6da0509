"""The step of a Beam pipeline that embeds shards; imports apache-beam."""

import threading

import apache_beam as beam

from cpc_keras.embedding.embed_shard import embed_shard
from cpc_keras.embedding.open_encoder import open_encoder
from cpc_keras.embedding.output_directory import OutputDirectory
from cpc_keras.embedding.shard import ShardedSource

# One encoder a process, however many threads a runner starts; Keras's predict is not made for
# several at once.
_LOCK = threading.Lock()
_ENCODERS: dict = {}


class EmbedShards(beam.PTransform):
    """Shards to features in files; gives the tagged outputs "done" and "unreadable".

    Args:
        encoder: path that `open_encoder` takes.
        source: where the shards are of.
        output: where features go.
        batch_size: images at a time.

    Example:
        >>> step = EmbedShards("saved_models/mine", source, output)  # doctest: +SKIP
        >>> result = shards | step  # doctest: +SKIP
        >>> result.unreadable | beam.Map(print)  # doctest: +SKIP
    """

    def __init__(
        self, encoder: str, source: ShardedSource, output: OutputDirectory, *, batch_size: int = 64
    ):
        super().__init__()
        self.encoder, self.source, self.output = encoder, source, output
        self.batch_size = batch_size

    def expand(self, pcoll):
        """Give `.done`, `(number, images)` of each shard, and `.unreadable`, `(name, reason)`."""
        step = _Embed(self.encoder, self.source, self.output, self.batch_size)
        return pcoll | "embed" >> beam.ParDo(step).with_outputs("unreadable", main="done")


class _Embed(beam.DoFn):
    def __init__(self, encoder, source, output, batch_size):
        self.arguments = (encoder, source, output, batch_size)

    def process(self, shard):
        path, source, output, batch_size = self.arguments
        # Finished meanwhile: a runner gave it out a second time.
        if output.is_done(shard.number):
            return
        with _LOCK:
            if path not in _ENCODERS:
                _ENCODERS[path] = open_encoder(path)
            result = embed_shard(_ENCODERS[path], source, shard, batch_size=batch_size)
        output.write(shard, result)
        beam.metrics.Metrics.counter("cpc_keras", "images").inc(len(result.names))
        beam.metrics.Metrics.counter("cpc_keras", "unreadable").inc(len(result.unreadable))
        for name, reason in result.unreadable:
            yield beam.pvalue.TaggedOutput("unreadable", (name, reason))
        yield shard.number, len(result.names)
