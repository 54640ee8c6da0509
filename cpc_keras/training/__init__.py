"""Training: recipes, checkpoints and resume, progress."""

from cpc_keras.training.callbacks import read_metrics
from cpc_keras.training.pretrain import pretrain
from cpc_keras.training.recipe import RECIPES, Recipe

__all__ = ["RECIPES", "Recipe", "pretrain", "read_metrics"]
