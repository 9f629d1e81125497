"""What a person reads after a selection: what was kept, what was left out, how even it is, what to do next."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from evenly.cli.options import as_typed
from evenly.cli.screen import print_wrapped, printable, removed_line
from evenly.folder.manifest import REPORT_FILE
from evenly.jobs.measure import NEAR_COPY
from evenly.vectors.embedding_kind import EmbeddingKind
from evenly.vectors.registry import encoder_named
from evenly.words import counted, decimals, percent, percent_proven

if TYPE_CHECKING:
    from evenly.records import SourceRecord
    from evenly.request import PoolRequest
    from evenly.rows.rows import Rows
    from evenly.selecting.run import Recorded

EXAMPLE = 200
"""Characters of the example: two or three lines show the order of fields and what stands between them."""

EXAMPLE_DISTANCES = (0.05, 0.1, 0.2)
"""Where texts tend to be the same in other words, a paraphrase, of one topic: which of them holds, the pairs show."""


def print_read(rows: Rows, request: PoolRequest, stream: TextIO) -> None:
    """What was read, before long work: every source with its form, and the first row as the encoder sees it."""
    for source in rows.sources:
        print_wrapped(printable(_source_line(source), 400), stream)
    if isinstance(encoder_named(request.encoder), EmbeddingKind):
        print_wrapped(f"row 1 as it is embedded: {printable(rows.texts()[0], EXAMPLE)}", stream)
    stream.flush()


def print_summary(
    outcome: Recorded, details: bool = False, *, stream: TextIO | None = None, read_told: bool = False
) -> None:
    """The summary, as `print_wrapped` shows it.

    Args:
        outcome: the selection.
        details: whether what is rarely looked at is printed too.
        stream: where to; None is standard output. On another one the kept rows are printed and no files stay.
        read_told: whether `print_read` has said what was read.
    """
    for line in summary(outcome, details, files=stream in (None, sys.stdout), read_told=read_told):
        print_wrapped(line, stream)


def _source_line(source: SourceRecord) -> str:
    return f"{source.name}: {source.rows:,} rows, {source.form}"


def summary(outcome: Recorded, details: bool, files: bool = True, read_told: bool = False) -> Iterator[str]:
    """Its lines."""
    for source in () if read_told else outcome.manifest.sources:
        yield printable(_source_line(source), 400)
    for note in outcome.read_notes():
        yield printable(as_typed(note), 400)
    yield ""
    yield _kept(outcome)
    yield _left_out(outcome)
    for note in outcome.found_notes(details):
        yield printable(as_typed(note), 400)
    yield ""
    yield from _spread(outcome.measures)
    yield from _proof(outcome.measures)
    if details:
        yield ""
        if outcome.manifest.kept > 1:
            yield f"certificate: {outcome.measures['certificate']['text']}"
        yield from _details(outcome)
    if files:
        yield ""
        yield from _files(outcome)


def _files(outcome: Recorded) -> Iterator[str]:
    for output in outcome.manifest.outputs:
        yield f"wrote {counted(output.rows, 'row')} to"
        yield f"  {outcome.folder.parent / output.name}"
    if (gone := removed_line(outcome.removed)) is not None:
        yield gone
    if (outcome.folder / REPORT_FILE).exists():
        yield "page with the map and the closest pairs"
        yield f"  {outcome.folder}/{REPORT_FILE}"
    yield f"check it:      evenly verify {outcome.folder}"
    if (keep := _smaller(outcome)) is not None:
        yield f"another size:  evenly slice {outcome.folder} --keep {keep} --out smaller/"


def _smaller(outcome: Recorded) -> str | None:
    """A size that the saved order can be cut to; None where there is none."""
    choice, manifest = outcome.prepared.choice, outcome.manifest
    least, most = max(1, manifest.options.given), manifest.kept - 1
    if not choice.nested or least > most:
        return None
    if least <= manifest.pool_rows // 10 <= most:
        return "10%"
    return str(max(least, manifest.kept // 2))


def _examples(outcome: Recorded) -> Iterator[str]:
    """What distances mean in this pool: rows that were left out, each beside the kept row that stands for it."""
    selection, rows = outcome.selection, outcome.prepared.pool.rows
    left = np.flatnonzero(selection.dropped() & (selection.keeper < len(rows)))
    if selection.metric != "cosine" or not rows.has_texts or not len(left):
        return
    for asked in EXAMPLE_DISTANCES:
        row = int(left[np.argmin(np.abs(selection.keeper_distance[left] - asked))])
        distance, other = float(selection.keeper_distance[row]), int(selection.keeper[row])
        if abs(distance - asked) <= asked / 4:
            yield f"about {asked:g} apart ({decimals(distance)}), {rows.ids[row]} and {rows.ids[other]}:"
            for one in (row, other):
                yield f"  {printable(chr(10).join(filter(None, rows.pair(one))))}"


def _kept(outcome: Recorded) -> str:
    manifest = outcome.manifest
    line = f"kept {manifest.kept:,} of {manifest.pool_rows:,} rows ({percent(manifest.kept / manifest.pool_rows)})"
    found = outcome.measures["controls"]
    by_tokens = found.get("budget", {}).get("unit") == "tokens"  # said with the budget, by its own tokenizer
    if (tokens := found.get("tokens")) and not by_tokens:
        line += (
            f", {tokens['kept']:,} of {tokens['pool']:,} tokens ({percent(tokens['kept'] / tokens['pool'])})"
        )
        line += " without shared text" if manifest.options.strip_shared else ""
    return line


def _left_out(outcome: Recorded) -> str:
    """Why rows are not kept, by what stands for them."""
    selection = outcome.selection
    excluded = sum(outcome.measures["controls"].get("set_aside", {}).values())
    left = selection.pool_rows - len(selection)
    if not left:
        return "left out: nothing"
    dropped = selection.dropped_distances()[outcome.prepared.eligible()[selection.dropped()]]
    near = outcome.prepared.choice.options.get("dedup")  # who gives one says what a near-copy is
    if near is None:
        near = NEAR_COPY if selection.metric == "cosine" else 0.0
    close = int(((dropped > 0) & (dropped < near)).sum())
    copies, twins, untold = outcome.dropped()
    parts = [f"{copies:,} exact {'copy' if copies == 1 else 'copies'}"] if copies else []
    parts += [f"{twins:,} with the text of a kept row and other fields"] if twins else []
    parts += [f"{untold:,} that the encoder cannot tell from a kept row"] if untold else []
    many = "near-copy" if close == 1 else "near-copies"
    parts += [f"{close:,} {many} (nearer than {near:g} to a kept row)"] if close else []
    other = left - copies - twins - untold - close - excluded
    if other > 0:
        parts.append(f"{other:,} for which the nearest kept row stands")
    parts += [f"{excluded:,} excluded"] if excluded else []
    what = "not picked" if outcome.manifest.options.appended else "left out"
    return f"{what} {left:,}: {', '.join(parts)}"


def _spread(measures: dict[str, Any]) -> Iterator[str]:
    kept, random = measures["kept"], measures.get("random")
    typical, other = kept.get("mean_nearest"), (random or {}).get("mean_nearest", {}).get("median")
    if typical is not None:
        line = f"a kept row is {decimals(typical)} from the nearest other one on average"
        yield line if other is None else f"{line}; in a random set of this size {decimals(other)}"
    line = f"no row of the pool is farther than {decimals(kept['fill'])} from a kept one"
    if random:
        line += f"; from a random set {decimals(random['fill']['median'])}"
    yield line


def _proof(measures: dict[str, Any]) -> Iterator[str]:
    """Of a single row there is no closest pair."""
    proof = measures["certificate"]
    if proof["rows"] == 1:
        return
    if measures["kept"]["rows"] == measures["pool"]["rows"]:
        yield f"the closest two rows are {decimals(proof['h_min'])} apart"
        return
    best = percent_proven(proof["share_of_best"])
    apart = decimals(proof["h_min"])
    line = f"the closest two kept rows are {apart} apart, proven at least {best} of the best possible"
    restricted = " and ".join(proof["restricted_by"]).replace("_", "-")
    yield f"{line} without {restricted}" if restricted else line


def _details(outcome: Recorded) -> Iterator[str]:
    manifest, measures = outcome.manifest, outcome.measures
    kept, pool, random = measures["kept"], measures["pool"], measures.get("random")
    yield f"{'':<22}{'rows':>10}{'h_min':>9}{'fill':>9}{'mesh ratio':>12}{'copies':>8}"
    rows: list[tuple[str, int, Any, Any, Any, Any]] = [
        ("kept", kept["rows"], kept["h_min"], kept["fill"], kept["mesh_ratio"], kept["copies"])
    ]
    if random:
        h_min, fill = random["h_min"]["median"], random["fill"]["median"]
        name = f"random (median of {random['draws']})"
        rows.append((name, kept["rows"], h_min, fill, fill / h_min if h_min else None, None))
    rows.append(("pool", pool["rows"], pool["h_min"], None, None, pool["copies"]))
    for name, count, h_min, fill, mesh, copies in rows:
        shown = [decimals(one if isinstance(one, float) else None) for one in (h_min, fill)]
        ratio = decimals(mesh if isinstance(mesh, float) and count > 1 else None, 3)
        yield (
            f"{name:<22}{count:>10,}{shown[0]:>9}{shown[1]:>9}{ratio:>12}"
            f"{'-' if copies is None else format(copies, ','):>8}"
        )
    unit = "1 - cos" if manifest.metric == "cosine" else "euclidean"
    yield f"distances are {unit}; h_min: closest pair of the set; fill: farthest any row is from a kept one"
    if sampled := measures.get("sampled_rows"):
        yield (
            f"pool and random sets: from a sample of {sampled:,} rows each, so their h_min may be smaller and "
            "their fill larger"
        )
    for name, (distance, first, second) in outcome.closest_pairs().items():
        yield f"closest pair of the {'kept rows' if name == 'kept' else 'pool'}, {decimals(distance)} apart:"
        yield f"  {printable(first)}"
        yield f"  {printable(second)}"
    yield from _examples(outcome)
    yield "took " + "  ".join(f"{stage} {spent:.1f} s" for stage, spent in manifest.seconds.items())
