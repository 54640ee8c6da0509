"""Methods by the name of their paper, each a choice of parts."""

from cpc_keras.methods.cpc_v1 import cpc_v1
from cpc_keras.methods.cpc_v2 import cpc_v2

__all__ = ["cpc_v1", "cpc_v2"]
