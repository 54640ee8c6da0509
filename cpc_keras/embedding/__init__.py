"""Features of many images: on one machine, or on many with Apache Beam."""

from cpc_keras.embedding.embed_images import embed_images
from cpc_keras.embedding.embed_on_beam import embed_on_beam
from cpc_keras.embedding.image_source import image_source
from cpc_keras.embedding.open_encoder import open_encoder
from cpc_keras.embedding.read_embedding import read_embedding

__all__ = ["embed_images", "embed_on_beam", "image_source", "open_encoder", "read_embedding"]
