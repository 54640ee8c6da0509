"""This process among those that train one model together."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import numpy as np

from cpc_keras.training.checkpoints import newest_checkpoint


@dataclasses.dataclass(frozen=True)
class Worker:
    """One of the processes that share each batch; each runs the same program.

    Only the first one's files are kept. The others do all the same, so that they come to every
    exchange of numbers together, and write into a directory that goes when they end.

    Attributes:
        index: number of this one, 0 for the first.
        count: how many there are.
        strategy: the `tf.distribute` strategy that joins them; `None` for one process alone.

    Example:
        >>> Worker.of(None).is_first, Worker.of(None).agreed(stop=True)
        (True, {'stop': True})
    """

    index: int = 0
    count: int = 1
    strategy: object = None

    @classmethod
    def of(cls, strategy) -> "Worker":
        """Return the place of this process under a strategy; `None` is one process alone."""
        resolver = getattr(strategy, "cluster_resolver", None)
        cluster = None if resolver is None else resolver.cluster_spec()
        if not cluster:
            return cls()
        # The chief is the first, where one is named.
        places = [(k, i) for k in ("chief", "worker") for i in range(_num_tasks(cluster, k))]
        if len(places) < 2:
            return cls()
        return cls(places.index((resolver.task_type, resolver.task_id)), len(places), strategy)

    @property
    def is_first(self) -> bool:
        """Whether this one's files are kept."""
        return self.index == 0

    def agreed(self, **flags: bool) -> dict[str, bool]:
        """Return, for each name, whether any worker has set it; all call this together."""
        if self.count == 1:
            return flags
        import tensorflow as tf

        totals = _adder(self.strategy)(tf.constant(list(flags.values()), "float32"))
        return dict(zip(flags, (np.asarray(totals) > 0).tolist(), strict=True))

    def differing(self, **numbers: int) -> list[str]:
        """Return the names whose number is not the same in all workers; all call this together."""
        if self.count == 1:
            return []
        import tensorflow as tf

        own = np.array(list(numbers.values()), "float64")
        totals = np.asarray(_adder(self.strategy)(tf.constant(own)))
        # One that differs from the mean may be another than the one that is wrong: all tell.
        differs = totals != own * self.strategy.num_replicas_in_sync
        told = self.agreed(**dict(zip(numbers, differs.tolist(), strict=True)))
        return [name for name, any_differs in told.items() if any_differs]

    def wait(self) -> None:
        """Wait until all workers are here."""
        self.agreed(here=True)

    @contextlib.contextmanager
    def telling_of_losses(self, directory: str | os.PathLike) -> Iterator[None]:
        """Turn TensorFlow's errors about a worker that is gone into one that says what to do.

        Args:
            directory: of the run's checkpoints.

        Raises:
            ConnectionError: another worker has ended, or hangs.
        """
        try:
            yield
        except Exception as error:
            if self.count == 1 or not _is_of_a_lost_worker(error):
                raise
            found = newest_checkpoint(directory)
            raise ConnectionError(
                f"Worker {self.index} of {self.count} can reach the others no more: one of them "
                "has ended or hangs; what it said last tells why. Nothing that was saved is lost: "
                "start the same command on all workers, and they go on "
                + (f"after {found.place}." if found else "from the beginning.")
            ) from error

    @contextlib.contextmanager
    def own_directory(self, directory: pathlib.Path) -> Iterator[pathlib.Path]:
        """Give the directory to the first worker and to others one that goes at the end."""
        if self.is_first:
            yield directory
            return
        own = pathlib.Path(tempfile.mkdtemp(prefix=f"worker-{self.index}-"))
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def shared(self, make_batches):
        """Return the batches of this worker, for `fit`.

        Args:
            make_batches: makes the dataset of a share `(i, m)` of each batch, as
                `data.image_batches(share=)`.
        """
        if self.count == 1:
            return make_batches((0, 1))
        local = self.strategy.num_replicas_in_sync // self.count

        def dataset(context):
            part = make_batches((context.input_pipeline_id, context.num_input_pipelines))
            if local == 1:
                return part
            # One element for each device.
            size = next(iter(part.element_spec.values())).shape[0] // local
            return part.rebatch(size, drop_remainder=True)

        return self.strategy.distribute_datasets_from_function(dataset)


def _is_of_a_lost_worker(error):
    import tensorflow as tf

    kinds = ("Unavailable", "Aborted", "Cancelled", "DeadlineExceeded", "Internal")
    return isinstance(error, tuple(getattr(tf.errors, f"{kind}Error") for kind in kinds))


@functools.cache
def _adder(strategy):
    """A graph that adds numbers up over all workers."""
    import tensorflow as tf

    def add(x):
        return tf.distribute.get_replica_context().all_reduce(
            "SUM", tf.identity(x)
        )  # on its device

    @tf.function(reduce_retracing=True)
    def total(x):
        return strategy.experimental_local_results(strategy.run(add, (x,)))[0]

    return total


def _num_tasks(cluster, kind):
    return cluster.num_tasks(kind) if kind in cluster.jobs else 0
