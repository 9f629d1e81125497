"""What the page says: pure functions from a saved selection to sentences and tables, without any HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evenly.controls import CONTROLS, controls_from
from evenly.controls.findings import told
from evenly.folder.manifest import Manifest
from evenly.folder.selection import SelectionFolder
from evenly.folder.view import VIEW_CHARACTERS
from evenly.report.points import excerpt, visible
from evenly.types import Int64Array
from evenly.words import duration, percent, quantity

FIRST_PICKS = 20
PAIRS = 5
LONELIEST = 5
EXCLUDED = 10
GROUPS = 30


@dataclass(frozen=True)
class Row:
    """One row as a reader sees it. All text is untrusted; controls in it are made visible."""

    number: int
    id: str
    kept: bool
    prompt: str
    response: str
    characters: int


@dataclass(frozen=True)
class ShownPair:
    """Two rows and the distance between them."""

    distance: str
    rows: tuple[Row, Row]


@dataclass(frozen=True)
class Pick:
    """One of the first picks, with the reason why it looks like noise, if it does."""

    place: int
    radius: str
    row: Row
    noise: str | None


@dataclass(frozen=True)
class Excluded:
    """Rows that one control kept from being picked: how many, and the first of them with what it found."""

    reason: str
    count: int
    rows: list[tuple[Row, str]]


def lead(saved: SelectionFolder) -> str:
    """The sentence that matters: how many were kept, how even, how good. ``**`` encloses its numbers."""
    manifest = saved.manifest
    share = percent(manifest.kept / manifest.pool_rows)
    said = [f"Kept **{manifest.kept:,} of {manifest.pool_rows:,} rows** ({share})."]
    if manifest.exhausted:
        said.append(f"{manifest.asked:,} were asked for, but no further row differs from those kept.")
    if manifest.h_min is not None:
        said.append(_evenness(manifest, saved.measures))
    said.append(_certificate(saved.measures.get("certificate", {}), manifest.metric))
    return " ".join(filter(None, said))


MAPS = {
    "neighbours": "Each dot is a row, placed so that its nearest rows are near it (t-SNE).",
    "pca": "Each dot is a row, placed by the first two principal components of the vectors. Rows that look "
    "close may lie far apart.",
    "umap": "Each dot is a row, placed by a UMAP projection. Distances between far regions mean little.",
}


def map_lines(saved: SelectionFolder, map_name: str) -> str:
    """How the map was laid out, and how much it can be trusted."""
    said = MAPS[map_name]
    found = saved.measures.get("map", {})
    if map_name == "neighbours" and saved.map_kind == map_name:
        said += f" Of a row's 15 nearest rows, {percent(found['shared'])} are among its 15 nearest dots"
        said += "; distances between far regions mean little."
        if found["laid_out"] < len(saved):
            said += f" {found['laid_out']:,} rows drawn at random were laid out; the others lie between them."
    return said


def _evenness(manifest: Manifest, measures: dict[str, Any]) -> str:
    """Typical distance and coverage, beside random sets; the closest pair alone is set by two rows."""
    h_min, kept, random = manifest.h_min or 0.0, measures.get("kept", {}), measures.get("random", {})
    if h_min == 0:
        return "The kept rows hold **rows of equal vectors**."
    sampled = measures.get("sampled_rows")
    by = f", by {sampled:,} rows of each" if sampled else ""
    drawn = f" (median of {random.get('draws')}{by})"
    said = []
    if (typical := _number(kept.get("mean_nearest"))) is not None:
        said.append(f"A kept row is **{quantity(typical)}** from its nearest kept neighbour on average")
        if (other := _number(random.get("mean_nearest", {}).get("median"))) is not None:
            said[-1] += f"; in a random set of this size, {quantity(other)}{drawn}"
    said.append(f"No row of the pool is farther than **{quantity(manifest.fill)}** from a kept one")
    if (other := _number(random.get("fill", {}).get("median"))) is not None:
        said[-1] += f"; from a random set, {quantity(other)}{'' if len(said) > 1 else drawn}"
    said.append(f"The closest two kept rows are {quantity(h_min)} apart ({manifest.metric} distance)")
    return f"{'. '.join(said)}."


def _certificate(certificate: dict[str, Any], metric: str) -> str:
    bound, share = _number(certificate.get("upper_bound")), _number(certificate.get("share_of_best"))
    if bound is None or share is None:
        return ""
    said = f"Proven: no selection of this size can exceed {quantity(bound)}, so this one reaches "
    said += f"**at least {_floored(share)} of the best possible**"
    euclidean = _number(certificate.get("euclidean_share"))
    if metric == "cosine" and euclidean is not None:
        said += f" ({_floored(euclidean)} in Euclidean distance)"
    if restricted := certificate.get("restricted_by"):
        said += f", measured against a free choice without {', '.join(restricted)}"
    return f"{said}."


def _number(value: Any) -> float | None:
    """A finite number of the measures; they write infinite ones as text."""
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _floored(share: float) -> str:
    """A percentage rounded down: a certificate must not promise more than it proves."""
    return f"{np.floor(100.0 * share):.0f} %"


def row(saved: SelectionFolder, number: int) -> Row:
    """The row as shown in tables: excerpts of at most `VIEW_CHARACTERS`."""
    return Row(
        number=number,
        id=visible(saved.ids[number]),
        kept=bool(saved.rank[number] >= 0),
        prompt=excerpt(saved.prompt[number], VIEW_CHARACTERS),
        response=excerpt(saved.response[number], VIEW_CHARACTERS),
        characters=int(saved.characters[number]),
    )


def closest_pairs(saved: SelectionFolder, of: str) -> list[ShownPair]:
    """The closest pairs of ``of`` (pool or kept) that the measures name, at most `PAIRS`."""
    found = saved.measures.get(of, {}).get("closest_pairs", [])
    return [
        ShownPair(quantity(pair["distance"]), (row(saved, pair["row"]), row(saved, pair["other"])))
        for pair in found[:PAIRS]
    ]


def first_picks(saved: SelectionFolder) -> list[Pick]:
    """The first `FIRST_PICKS` that were chosen and not given; max-min takes outliers first, so noise shows here.

    The verdict on each is that of the run that picked, which had the whole texts.
    """
    noisy = (noise_verdict(saved) or {}).get("noisy", {})
    return [
        Pick(
            int(saved.rank[number]) + 1,
            quantity(saved.radius[number]),
            row(saved, number),
            noisy.get(saved.ids[number]),
        )
        for number in _chosen_first(saved).tolist()
    ]


def noise_verdict(saved: SelectionFolder) -> dict[str, Any] | None:
    """How many first picks were judged, and why some look like noise, by id; None where nothing was judged."""
    found: dict[str, Any] | None = saved.measures.get("controls", {}).get("noise")
    return found


def _chosen_first(saved: SelectionFolder) -> Int64Array:
    given = saved.manifest.options.given
    return saved.picks[given : given + FIRST_PICKS]


def loneliest(saved: SelectionFolder) -> list[ShownPair]:
    """The dropped rows farthest from their keeper, farthest first: the worst-represented rows of the pool."""
    farthest = np.argsort(-saved.keeper_distance, kind="stable")[:LONELIEST]
    return [
        ShownPair(
            quantity(saved.keeper_distance[number]),
            (row(saved, number), row(saved, int(saved.keeper[number]))),
        )
        for number in farthest.tolist()
        if saved.rank[number] < 0 and saved.keeper[number] < len(saved)
    ]


def controls(saved: SelectionFolder) -> list[tuple[str, str]]:
    """What was asked for beyond how much to keep, and what it came to, as terms and values."""
    found = saved.measures.get("controls", {})
    made = controls_from(saved.manifest.options.controls | {"keep": saved.manifest.keep})
    facts = [fact for control in made for fact in control.labelled()]
    if found:
        facts += [(term.capitalize(), said) for term, said in told(made, found, GROUPS)]
    return [(visible(term), visible(value)) for term, value in facts]


def excluded(saved: SelectionFolder) -> list[Excluded]:
    """Rows that controls kept from being picked, by control, with the first of each."""
    said = {name: words for control in CONTROLS for name, words in control.reasons.items()}
    table = saved.excluded.to_pydict()
    by_reason: dict[str, list[int]] = {}
    for place, reason in enumerate(table["reason"]):
        by_reason.setdefault(reason, []).append(place)
    return [
        Excluded(
            f"{visible(reason)}: {said[reason]}" if reason in said else visible(reason),
            len(places),
            [(row(saved, table["row"][at]), visible(table["detail"][at])) for at in places[:EXCLUDED]],
        )
        for reason, places in by_reason.items()
    ]


def named_rows(saved: SelectionFolder) -> Int64Array:
    """The rows that the page's tables name, without their order."""
    pairs = [*closest_pairs(saved, "pool"), *closest_pairs(saved, "kept"), *loneliest(saved)]
    numbers = {one.number for pair in pairs for one in pair.rows}
    numbers |= {one.number for group in excluded(saved) for one, _ in group.rows}
    return np.array(sorted(numbers | set(_chosen_first(saved).tolist())), dtype=np.int64)


def provenance(manifest: Manifest) -> list[tuple[str, str]]:
    """How the selection was made, as terms and values."""
    encoder = manifest.encoder
    facts = [
        *[("Source", f"{source.name}: {source.rows:,} rows, {source.form}") for source in manifest.sources],
        *[("Written", f"{output.name}: {output.rows:,} rows") for output in manifest.outputs],
        ("Encoder", f"{encoder.name}, {encoder.dimension} dimensions"),
        *([("Of the encoder", encoder.notes)] if encoder.notes else []),
        (
            "Rows longer than the encoder's window",
            f"{encoder.long_rows:,} ({encoder.long})" if encoder.long_rows else "none",
        ),
        ("Text", manifest.text or f"{manifest.part} of each record"),
        ("Metric", manifest.metric),
        ("Keep", f"{manifest.keep}: {manifest.asked:,} asked for, {manifest.kept:,} kept"),
        ("First pick", f"row {manifest.start} ({manifest.start_rule})"),
        ("Seed", str(manifest.seed)),
        ("h_min", quantity(manifest.h_min, 6)),
        ("Fill", quantity(manifest.fill, 6)),
        *[
            (f"Option {name}", str(value))
            for name, value in manifest.options.model_dump(exclude={"controls"}).items()
        ],
        ("Time", "; ".join(f"{stage} {duration(spent)}" for stage, spent in manifest.seconds.items()) or "–"),
        ("Made", manifest.created),
        (
            "Versions",
            ", ".join(f"{n} {v}" for n, v in {"evenly": manifest.evenly, **manifest.versions}.items()),
        ),
        *[(f"SHA-256 of {source.name}", source.sha256) for source in manifest.sources],
        *[(f"SHA-256 of {output.name}", output.sha256) for output in manifest.outputs],
        ("SHA-256 of the order", manifest.order_sha256),
        ("SHA-256 of the vectors", manifest.vectors_sha256),
    ]
    return [(visible(term), visible(value)) for term, value in facts]
