"""The report page: one HTML file that opens from disk, with its data, styles, scripts and libraries inside.

Figures are drawn by D3 and Observable Plot (both ISC), vendored with versions and hashes in
``vendor/vendor.json``: together 0.5 MB, drawing to canvas and SVG, and needing no ``eval``, so that the
page's content-security policy can allow exactly its own scripts by their hashes and forbid every network
access. Row text reaches the page as JSON in a data block or through the template's escaping, never as markup.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from evenly.checks import check_int, not_known
from evenly.controls.choice import saved_choice
from evenly.errors import InputError
from evenly.files import write_atomically
from evenly.folder.excluded import excluded_path
from evenly.folder.manifest import REPORT_FILE
from evenly.folder.selection import SelectionFolder
from evenly.folder.view import SHOWN_ROWS, shown_rows
from evenly.report import content, figures
from evenly.report.points import (
    COLOUR_FIELDS,
    carried_rows,
    row_columns,
    script_json_pieces,
    visible,
)
from evenly.report.rendering import asset, rendered
from evenly.types import Float64Array

SCRIPTS = ("rows.js", "map.js", "size.js", "regions.js", "bench.js", "charts.js", "page.js")


def write_report(
    folder: Path, *, limit_points: int = SHOWN_ROWS, map: str | None = None, coordinates: Any = None
) -> Path:
    """Writes ``folder/report.html`` from the files of the selection folder.

    Args:
        folder: the selection folder that select wrote.
        limit_points: most rows on the map; above it the map shows a uniform random sample of that size and
            says so.
        map: how ``coordinates`` were made: ``neighbours``, ``pca`` or ``umap``. None shows the map that was saved.
        coordinates: (N, 2) numbers, with ``map``.

    Returns:
        The path of the page, written whole or not at all.

    Raises:
        InputError: the folder is no selection folder, or the map or its coordinates do not fit.
    """
    check_int(limit_points, "limit_points", at_least=1)
    saved = SelectionFolder.open(folder)
    path = folder / REPORT_FILE
    places = _check_coordinates(saved, map, coordinates)
    write_atomically(path, render(saved, limit_points, map or saved.map_kind, places))
    return path


def render(
    saved: SelectionFolder, limit_points: int, map_name: str, coordinates: Float64Array
) -> Iterator[str]:
    """The page as HTML, in pieces; coordinates (N, 2) float64."""
    data = page_data(saved, limit_points, map_name, coordinates)
    libraries = json.loads(asset("vendor/vendor.json"))
    scripts = [asset(f"vendor/{library['file']}") for library in libraries]
    scripts.append("\n".join(asset(f"web/{name}") for name in SCRIPTS))
    return rendered(
        "selection.html",
        policy=_policy(scripts),
        styles=["page.css"],
        scripts=[Markup(script) for script in scripts],
        data=map(Markup, script_json_pieces(data)),
        libraries=libraries,
        manifest=saved.manifest,
        sources=", ".join(visible(source.name) for source in saved.manifest.sources),
        sample=data["sample"],
        map_lines=content.map_lines(saved, map_name),
        regions=sum(bool(one["name"]) for one in data["regions"]["small"]) if data["regions"] else 0,
        excerpt=data["rows"]["excerpt"],
        unmapped_fields=[visible(name) for name in list(saved.fields)[COLOUR_FIELDS:]],
        lead=content.lead(saved).split(". ", 1) if ". " in content.lead(saved) else [content.lead(saved), ""],
        curve=data["curve"],
        sizes_sampled=_sampled(data["sizes"], len(saved)),
        nearest=data["nearest"],
        sampled=saved.measures.get("sampled_rows"),
        fields=data["fields"],
        medians=data["lengths"]["medians"],
        kept_pairs=content.closest_pairs(saved, "kept"),
        pool_pairs=content.closest_pairs(saved, "pool"),
        loneliest=content.loneliest(saved),
        picks=content.first_picks(saved),
        judged=content.noise_verdict(saved) is not None,
        controls=content.controls(saved),
        excluded=content.excluded(saved),
        excluded_file=excluded_path(saved.path).name,
        provenance=content.provenance(saved.manifest),
    )


def page_data(
    saved: SelectionFolder, limit_points: int, map_name: str, coordinates: Float64Array
) -> dict[str, Any]:
    """Everything that the page's scripts draw."""
    mapped = shown_rows(len(saved), limit_points)
    rows = carried_rows(saved, mapped, content.named_rows(saved))
    columns = row_columns(saved, rows, coordinates)
    texts = [
        f"{prompt}\n{response}"
        for prompt, response in zip(columns["prompt"], columns["response"], strict=True)
    ]
    return {
        "pool": len(saved),
        "kept": saved.manifest.kept,
        "hMin": saved.manifest.h_min,
        "metric": saved.manifest.metric,
        "mapped": len(mapped),
        "sample": len(mapped) < len(saved),
        "rows": columns,
        "regions": figures.regions(saved, mapped, coordinates, texts[: len(mapped)]),
        "sizes": saved.measures.get("by_size") if nested(saved) else None,
        "random": {
            name: values["median"]
            for name in ("h_min", "mean_nearest")
            if (values := saved.measures.get("random", {}).get(name))
        },
        "sources": [{"name": visible(source.name), "rows": source.rows} for source in saved.manifest.sources],
        "excluded": excluded_reasons(saved),
        "curve": figures.radius_curve(saved),
        "knee": saved.measures.get("knee"),
        "nearest": figures.nearest_histograms(saved.measures),
        "lengths": figures.length_comparison(saved),
        "fields": figures.field_comparisons(saved),
    }


def _sampled(sizes: dict[str, Any] | None, pool_rows: int) -> int | None:
    """Of how many rows the sizes are measured, where that is not the whole pool."""
    return sizes["sampled_rows"] if sizes and sizes["sampled_rows"] < pool_rows else None


def nested(saved: SelectionFolder) -> bool:
    """Whether the first k picks are the selection of size k."""
    return saved_choice(saved.manifest).nested


def excluded_reasons(saved: SelectionFolder) -> dict[str, list[int]]:
    """The rows that each control kept from being picked, by its reason."""
    found: dict[str, list[int]] = {}
    for row, reason in zip(
        saved.excluded["row"].to_pylist(), saved.excluded["reason"].to_pylist(), strict=True
    ):
        found.setdefault(visible(reason), []).append(row)
    return found


def _check_coordinates(saved: SelectionFolder, map_name: str | None, coordinates: Any) -> Float64Array:
    if map_name is not None and map_name not in content.MAPS:
        raise not_known("`map`", map_name, content.MAPS)
    if (map_name is None) != (coordinates is None):
        raise InputError("coordinates belong to a map: give both, or neither for the map that was saved")
    given = saved.coordinates if coordinates is None else np.asarray(coordinates, dtype=np.float64)
    if given.shape != (len(saved), 2) or not np.isfinite(given).all():
        raise InputError(
            f"coordinates must be finite numbers of shape {(len(saved), 2)}; got shape {given.shape}"
        )
    return given


def _policy(scripts: list[str]) -> str:
    """Only these scripts, only inline styles, nothing from anywhere."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
