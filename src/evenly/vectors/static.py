"""``static``: a text's vector is the mean of its tokens' vectors. A preview: quick, and blind to the order of words."""

from __future__ import annotations

from pathlib import Path

from evenly.request import PoolRequest
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.folders import MINILM, find_folder
from evenly.vectors.kind import Encoder


class Static(EmbeddingKind):
    """Token vectors distilled from an encoder on this machine, or those of a Model2Vec folder."""

    prefix = "static:"
    usage = "static, static:FOLDER"

    @classmethod
    def claims(cls, name: str) -> bool:
        return name == "static" or name.startswith(cls.prefix)

    @property
    def model(self) -> str:
        """The encoder that is distilled, or the Model2Vec folder."""
        return MINILM if self.name == "static" else self.rest

    @property
    def path(self) -> Path | None:
        return None if self.name == "static" else Path(self.rest)

    def load(self, request: PoolRequest) -> Encoder:
        from evenly.vectors.distilled import distilled
        from evenly.vectors.model2vec import is_model2vec, model2vec

        load = model2vec if is_model2vec(find_folder(self.model)) else distilled
        return load(self.name, self.model, request)
