"""``minilm``, a model folder or a hub id: transformers on this machine. Never touches the network."""

from __future__ import annotations

from evenly.request import PoolRequest
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.kind import Encoder


class Transformer(EmbeddingKind):
    """A sentence-transformers or transformers folder: the pooled vectors of its tokens."""

    prefix = ""
    usage = "minilm, a model folder or hub id"

    @property
    def model(self) -> str:
        return self.name

    def load(self, request: PoolRequest) -> Encoder:
        from evenly.vectors.encoders import load_model_encoder

        return load_model_encoder(self.name, request)
