"""From images to what a method compares."""

from cpc_keras.views.frame_pair import FramePair
from cpc_keras.views.rotations import Rotations
from cpc_keras.views.two_views import TwoViews

__all__ = ["FramePair", "Rotations", "TwoViews"]
