"""``quality``: a score of each row, as a floor, to break ties, or as a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenly.controls.control import SCORES, Control, Told, check_above_0, refuse
from evenly.controls.scored import is_file_of_scores, read_scores
from evenly.errors import InputError
from evenly.request import option

if TYPE_CHECKING:
    from evenly.controls.choice import Choice
    from evenly.controls.prepared import Prepared
    from evenly.types import Selection


@dataclass(frozen=True)
class Quality(Control):
    """Scores from a field of the records, and what to do with them."""

    group = SCORES
    bounding = restricting = ("floor",)
    reordering = ("within", "weight")
    reasons: ClassVar = {"floor": "score too low"}

    quality: str | None = option(
        None, "Score of each row: a field, or FILE:FIELD, as `evenly score` writes it.", label="Scores"
    )
    floor: float | None = option(None, "Rows below this score are excluded.", label="Lowest score")
    within: float | None = option(
        None,
        "Distances in the same step of this width count as equal, and the better score decides.",
        label="Distances equal within",
    )
    weight: float | None = option(
        None,
        "Pick by distance times score to this power; scores must be above 0.",
        label="Power of the score",
    )

    def check(self, choice: Choice) -> None:
        names = self.asked().keys() - {"quality"}
        refuse(
            names and not self.quality,
            "`floor`, `within` and `weight` need `quality`, the field with the score of each row",
        )
        refuse(
            not names and choice.strategy == "maxmin" and not choice.options.get("objective"),
            "`quality` needs `floor`, `within`, `weight` or `objective=gist`: what to do with the score",
        )
        refuse(
            self.within is not None and (self.weight is not None or choice.options.get("density")),
            "`within` compares plain distances, `weight` and `density` change them; use one of the three",
        )
        check_above_0("within", self.within)
        check_above_0("weight", self.weight)
        refuse(
            self.floor is not None and not np.isfinite(self.floor),
            f"`floor` must be a finite score; got {self.floor}",
        )

    def fields(self) -> tuple[str, ...]:
        return () if is_file_of_scores(str(self.quality)) else (str(self.quality),)

    def exclude(self, prepared: Prepared) -> None:
        scores = prepared.quality = read_scores("quality", prepared.pool.rows, str(self.quality))
        if self.floor is not None:
            low = np.flatnonzero(scores < self.floor)
            prepared.exclude(
                low, "floor", [f"{self.quality} {scores[row]:g} is below {self.floor:g}" for row in low]
            )

    def constrain(self, prepared: Prepared) -> None:
        prepared.within = self.within or 0.0
        scores, eligible = prepared.quality, prepared.eligible()
        if self.weight is None or scores is None:
            return
        low = np.flatnonzero(eligible & (scores <= 0))
        if len(low):
            raise InputError(
                f"`weight` needs scores above 0; row {prepared.pool.rows.ids[low[0]]} has {scores[low[0]]:g}: "
                "use `floor` or `within`"
            )
        by_score = np.where(eligible, scores, 1.0) ** self.weight
        prepared.weigh(by_score / by_score[eligible].max())

    def found(self, prepared: Prepared, selection: Selection) -> dict[str, Any]:
        scores = prepared.quality
        if scores is None:
            return {}
        dropped = selection.dropped()
        return {
            "quality": {
                "field": self.quality,
                "kept_mean": float(scores[selection.rows].mean()),
                "dropped_mean": float(scores[dropped].mean()) if dropped.any() else None,
            }
        }

    def told(self, found: Mapping[str, Any]) -> Told:
        scores = found["quality"]
        line = f"mean {self.quality} {scores['kept_mean']:.4g} of kept rows"
        if scores["dropped_mean"] is not None:
            line += f", {scores['dropped_mean']:.4g} of dropped ones"
        if scores.get("h_min") is not None and scores.get("h_min_without") is not None:  # of version 0.1.0
            line += f"; h_min {scores['h_min']:.4g}, without the scores {scores['h_min_without']:.4g}"
        return [("quality", line)]
