"""Patch encoders."""

from cpc_keras.encoders.image_encoder import image_encoder
from cpc_keras.encoders.mlp import mlp
from cpc_keras.encoders.patch_encoder import PATCH_ENCODERS, patch_encoder
from cpc_keras.encoders.resnet_v2 import resnet_v2

__all__ = ["PATCH_ENCODERS", "image_encoder", "mlp", "patch_encoder", "resnet_v2"]
