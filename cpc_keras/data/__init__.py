"""Images in: sources (built-in, TFDS, folder, IDX, arrays), splits, the `tf.data` pipeline.

Importing this package imports neither TensorFlow nor Pillow; the functions do when they are called.
"""

from cpc_keras.data.find_duplicates import find_duplicates
from cpc_keras.data.hold_out import hold_out
from cpc_keras.data.image_batches import image_batches
from cpc_keras.data.image_data import ImageData, Splits
from cpc_keras.data.image_groups import image_groups
from cpc_keras.data.label_subset import label_subset
from cpc_keras.data.load_data import load_data
from cpc_keras.data.mixed_batches import mixed_batches
from cpc_keras.data.read_label_subset import read_label_subset
from cpc_keras.data.skipped_file import SkippedFile
from cpc_keras.data.split_off import split_off
from cpc_keras.data.write_label_subset import write_label_subset

__all__ = [
    "ImageData",
    "SkippedFile",
    "Splits",
    "find_duplicates",
    "hold_out",
    "image_batches",
    "image_groups",
    "label_subset",
    "load_data",
    "mixed_batches",
    "read_label_subset",
    "split_off",
    "write_label_subset",
]
