"""Patch encoders."""

from cpc_keras.encoders.count_activations import count_activations
from cpc_keras.encoders.count_flops import count_flops
from cpc_keras.encoders.image_encoder import image_encoder
from cpc_keras.encoders.mlp import mlp
from cpc_keras.encoders.named_resnet import NAMED_RESNETS, named_resnet
from cpc_keras.encoders.patch_encoder import PATCH_ENCODERS, patch_encoder
from cpc_keras.encoders.reapply_layers import reapply_layers
from cpc_keras.encoders.resnet_v2 import resnet_v2
from cpc_keras.encoders.shared_encoder import shared_encoder
from cpc_keras.encoders.valid_cnn import valid_cnn

__all__ = [
    "NAMED_RESNETS",
    "PATCH_ENCODERS",
    "count_activations",
    "count_flops",
    "image_encoder",
    "mlp",
    "named_resnet",
    "patch_encoder",
    "reapply_layers",
    "resnet_v2",
    "shared_encoder",
    "valid_cnn",
]
