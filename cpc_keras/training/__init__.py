"""Training: recipes, checkpoints and resume, progress."""

from cpc_keras.training.callbacks import read_metrics
from cpc_keras.training.checkpoints import load_newest
from cpc_keras.training.pretrain import pretrain
from cpc_keras.training.recipe import RECIPES, Recipe
from cpc_keras.training.stop_at_nan import StopAtNaN

__all__ = ["RECIPES", "Recipe", "StopAtNaN", "load_newest", "pretrain", "read_metrics"]
