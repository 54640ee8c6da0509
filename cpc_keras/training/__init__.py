"""Training: recipes, checkpoints and resume, progress."""

from cpc_keras.training.callbacks import read_metrics
from cpc_keras.training.checkpoint_schedule import CheckpointSchedule
from cpc_keras.training.checkpoints import load_newest
from cpc_keras.training.deterministic_ops import deterministic_ops
from cpc_keras.training.distribution_strategy import STRATEGIES, distribution_strategy
from cpc_keras.training.lars import LARS
from cpc_keras.training.pretrain import OPTIMIZERS, SCHEDULES, pretrain
from cpc_keras.training.recipe import PRECISIONS, RECIPES, Recipe
from cpc_keras.training.save_encoders import SaveEncoders
from cpc_keras.training.stop_at_nan import StopAtNaN

__all__ = [
    "LARS",
    "OPTIMIZERS",
    "PRECISIONS",
    "RECIPES",
    "SCHEDULES",
    "STRATEGIES",
    "CheckpointSchedule",
    "Recipe",
    "SaveEncoders",
    "StopAtNaN",
    "deterministic_ops",
    "distribution_strategy",
    "load_newest",
    "pretrain",
    "read_metrics",
]
