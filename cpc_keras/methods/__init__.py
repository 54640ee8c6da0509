"""Methods by the name of their paper, each a choice of parts."""

from cpc_keras.methods.cpc_pair import cpc_pair
from cpc_keras.methods.cpc_v1 import cpc_v1
from cpc_keras.methods.cpc_v2 import cpc_v2
from cpc_keras.methods.instance_discrimination import instance_discrimination
from cpc_keras.methods.jigsaw import jigsaw
from cpc_keras.methods.model_of import model_of
from cpc_keras.methods.needs_labels import needs_labels
from cpc_keras.methods.pseudo_label import pseudo_label
from cpc_keras.methods.relative_position import relative_position
from cpc_keras.methods.rotation import rotation
from cpc_keras.methods.rotation_joint import rotation_joint
from cpc_keras.methods.simclr import simclr
from cpc_keras.methods.supervised import supervised
from cpc_keras.methods.vat import vat
from cpc_keras.models import CPCModel

# By the name under which recipes and the command line know them.
METHODS = {
    "cpc": CPCModel,
    "cpc_v1": cpc_v1,
    "cpc_v2": cpc_v2,
    "cpc_pair": cpc_pair,
    "simclr": simclr,
    "supervised": supervised,
    "pseudo_label": pseudo_label,
    "vat": vat,
    "rotation_joint": rotation_joint,
    "rotation": rotation,
    "relative_position": relative_position,
    "jigsaw": jigsaw,
    "instance_discrimination": instance_discrimination,
}

__all__ = [
    "METHODS",
    "cpc_pair",
    "cpc_v1",
    "cpc_v2",
    "instance_discrimination",
    "jigsaw",
    "model_of",
    "needs_labels",
    "pseudo_label",
    "relative_position",
    "rotation",
    "rotation_joint",
    "simclr",
    "supervised",
    "vat",
]
