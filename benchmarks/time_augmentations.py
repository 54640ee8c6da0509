"""The costs in docs/augmentations.md: `python -m benchmarks.time_augmentations`.

Processor time, one thread, of each layer on the patches of one batch (64 images, 7x7 patches of
8x8x3) within a graph, as a multiple of `RandomShift`. Layers take turns, and the median of their
turns counts, so that what else the machine does falls on all alike.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf

from benchmarks.draw_augmentations import layers


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    patches = tf.constant(np.random.default_rng(0).integers(0, 256, (3136, 8, 8, 3)), tf.float32)
    graphs = {name: _graph(layer) for name, layer in layers(8).items()}
    for graph in graphs.values():
        graph(patches)
    seconds = {name: [] for name in graphs}
    for _ in range(arguments.rounds):
        for name, graph in graphs.items():
            started = time.process_time()
            graph(patches)
            seconds[name].append(time.process_time() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    unit = medians["RandomShift(side // 16)"]
    print("| layer | cost |\n|---|---|")
    for name, value in medians.items():
        print(f"| `{name}` | {value / unit:.1f} |")
    print(f"\n1.0 is {1000 * unit:.1f} ms of processor time.")


def _graph(layer):
    # Dynamic batch, as in `fit`.
    signature = [tf.TensorSpec((None, 8, 8, 3), tf.float32)]
    return tf.function(lambda x: layer(x, training=True), input_signature=signature)


if __name__ == "__main__":
    main()
