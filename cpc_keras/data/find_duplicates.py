"""Images that are there twice."""

from __future__ import annotations

import hashlib

import numpy as np


def find_duplicates(images: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Finds images with equal pixels, within one set or between two.

    A test image that is also a training image makes a score better than it is. Only exact copies
    are found, by a hash of the pixels: not those that were compressed or resized anew.

    Args:
        images: `[n, height, width, channels]`, an array or `ImageFiles`.
        others: Images to look for copies in, of the same size; None looks within `images`.

    Returns:
        int64 `[k, 2]`, sorted: positions in `images`, and those of the first equal image of
        `others`; within one set each copy with the first of its kind before it.

    Raises:
        ValueError: If the two have images of different shapes.

    Example:
        >>> images = np.zeros((3, 4, 4, 1), "uint8")
        >>> images[1] = 9
        >>> find_duplicates(images).tolist()
        [[2, 0]]
    """
    if others is not None and tuple(images.shape[1:]) != tuple(others.shape[1:]):
        raise ValueError(
            f"find_duplicates: received images of shapes {tuple(images.shape[1:])} and "
            f"{tuple(others.shape[1:])}. Expected equal ones. Load both with one image_size and "
            "number of channels."
        )
    first: dict[bytes, int] = {}
    if others is not None:
        for position in range(len(others)):
            first.setdefault(pixel_digest(others[position]), position)
    pairs = []
    for position in range(len(images)):
        digest = pixel_digest(images[position])
        if digest in first:
            pairs.append((position, first[digest]))
        elif others is None:
            first[digest] = position
    return np.array(pairs, np.int64).reshape(-1, 2)


def pixel_digest(image: np.ndarray) -> bytes:
    """Return 16 bytes that are equal for images of equal pixels."""
    return hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
