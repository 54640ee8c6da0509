"""Training: recipes, checkpoints and resume, progress, and probes of what is learned."""

from cpc_keras.training.callbacks import read_metrics
from cpc_keras.training.checkpoint_schedule import CheckpointSchedule
from cpc_keras.training.checkpoints import load_newest
from cpc_keras.training.collapse_monitor import CollapseMonitor
from cpc_keras.training.deterministic_ops import deterministic_ops
from cpc_keras.training.distribution_strategy import STRATEGIES, distribution_strategy
from cpc_keras.training.embedding_projector import EmbeddingProjector
from cpc_keras.training.held_out_probe import HeldOutProbe
from cpc_keras.training.improvement_monitor import ImprovementMonitor
from cpc_keras.training.knn_probe import KNNProbe
from cpc_keras.training.lars import LARS
from cpc_keras.training.linear_probe import LinearProbe
from cpc_keras.training.mutual_information import MutualInformation
from cpc_keras.training.pretrain import OPTIMIZERS, SCHEDULES, pretrain
from cpc_keras.training.recipe import PRECISIONS, RECIPES, Recipe
from cpc_keras.training.save_encoders import SaveEncoders
from cpc_keras.training.stop_at_nan import StopAtNaN
from cpc_keras.training.worker import Worker

__all__ = [
    "LARS",
    "OPTIMIZERS",
    "PRECISIONS",
    "RECIPES",
    "SCHEDULES",
    "STRATEGIES",
    "CheckpointSchedule",
    "CollapseMonitor",
    "EmbeddingProjector",
    "HeldOutProbe",
    "ImprovementMonitor",
    "KNNProbe",
    "LinearProbe",
    "MutualInformation",
    "Recipe",
    "SaveEncoders",
    "StopAtNaN",
    "Worker",
    "deterministic_ops",
    "distribution_strategy",
    "load_newest",
    "pretrain",
    "read_metrics",
]
