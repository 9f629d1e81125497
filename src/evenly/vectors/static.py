"""``static``: a text's vector is the mean of its tokens' vectors. A preview: quick, and blind to the order of words."""

from __future__ import annotations

from pathlib import Path

from evenly.request import PoolRequest
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.folders import MINILM, find_folder
from evenly.vectors.kind import Encoder


class Static(EmbeddingKind):
    """Token vectors distilled from an encoder on this machine, or those of a Model2Vec folder."""

    prefix = "static"
    usage = "static, static:FOLDER"

    @classmethod
    def claims(cls, name: str) -> bool:
        return name == "static" or name.startswith("static:")

    @property
    def model(self) -> str:
        """The encoder that is distilled, or the Model2Vec folder."""
        return self.name.removeprefix("static").removeprefix(":") or MINILM

    @property
    def path(self) -> Path | None:
        return Path(self.model) if ":" in self.name else None

    def beside(self, folder: Path) -> str:
        found = folder / self.path.name if self.path and not self.path.exists() else None
        return f"static:{found}" if found and found.exists() else self.name

    def check(self) -> None:
        find_folder(self.model)

    def load(self, request: PoolRequest) -> Encoder:
        from evenly.vectors.distilled import distilled
        from evenly.vectors.model2vec import is_model2vec, model2vec

        load = model2vec if is_model2vec(find_folder(self.model)) else distilled
        return load(self.name, self.model, request)

    def tokenizer(self) -> Path:
        return find_folder(self.model)
