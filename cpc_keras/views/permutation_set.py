"""Permutations that are far from each other."""

import functools
import math

import numpy as np

MOST_TILES = 9


@functools.lru_cache(maxsize=8)
def permutation_set(num_permutations: int, *, num_tiles: int = 9, seed: int = 0) -> np.ndarray:
    """Choose permutations that differ from each other in as many places as can be.

    The classes of a jigsaw puzzle: were two of them alike but for two tiles, these two alone would
    have to be told apart, which may be hopeless. The first is drawn; each next one is the
    permutation whose mean Hamming distance to those chosen so far is largest (Noroozi and Favaro
    2016, arXiv:1603.09246, algorithm 1). Among equals, which the paper does not tell apart, the
    seed decides. A thousand of the 9! take a second.

    Args:
        num_permutations: how many, 2 to `num_tiles`!. The paper: 1000.
        num_tiles: how many tiles are permuted, 2 to 9.
        seed: integer, 0 or more.

    Returns:
        Integers `[num_permutations, num_tiles]`, read-only: in each row 0 to `num_tiles - 1`, once.
        The sets of one seed are the beginnings of each other.

    Raises:
        ValueError: numbers out of range.

    Example:
        >>> chosen = permutation_set(3, num_tiles=3)
        >>> [int((chosen[i] != chosen[j]).sum()) for i, j in ((0, 1), (0, 2), (1, 2))]
        [3, 3, 3]
    """
    if not 2 <= num_tiles <= MOST_TILES:
        raise ValueError(
            f"num_tiles must be 2 to {MOST_TILES}: all permutations are looked at. Received: "
            f"{num_tiles!r}."
        )
    if not 2 <= num_permutations <= math.factorial(num_tiles):
        raise ValueError(
            f"num_permutations of {num_tiles} tiles must be 2 to {num_tiles}! = "
            f"{math.factorial(num_tiles)}. Received: {num_permutations!r}."
        )
    everything = np.zeros((1, 1), np.uint8)
    for tile in range(1, num_tiles):
        grown = [np.insert(everything, place, tile, axis=1) for place in range(tile + 1)]
        everything = np.concatenate(grown)
    # In random order, so that the first of equals is a random one. A row a tile: comparisons then
    # run over contiguous memory.
    order = np.random.default_rng(seed).permutation(len(everything))
    tiles = np.ascontiguousarray(everything[order].T)
    distance = np.zeros(len(order), np.int32)  # to those chosen, summed
    chosen = [0]
    while len(chosen) < num_permutations:
        distance += sum((row != row[chosen[-1]]).view(np.uint8) for row in tiles)
        distance[chosen[-1]] = np.iinfo(np.int32).min // 2
        chosen.append(int(distance.argmax()))
    found = tiles[:, chosen].T.astype(np.int32)
    found.setflags(write=False)  # the cache gives it to all
    return found
