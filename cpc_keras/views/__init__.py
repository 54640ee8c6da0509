"""From images to what a method compares."""

from cpc_keras.views.frame_pair import FramePair
from cpc_keras.views.jigsaw_tiles import JigsawTiles
from cpc_keras.views.neighbor_pair import NeighborPair
from cpc_keras.views.permutation_set import permutation_set
from cpc_keras.views.rotations import Rotations
from cpc_keras.views.tile_grid import TileGrid
from cpc_keras.views.two_views import TwoViews

__all__ = [
    "FramePair",
    "JigsawTiles",
    "NeighborPair",
    "Rotations",
    "TileGrid",
    "TwoViews",
    "permutation_set",
]
