"""`evenly push`: kept rows, their record and a dataset card as one repository on the Hugging Face hub."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evenly.errors import InputError
from evenly.files import one_line_errors
from evenly.folder.manifest import Manifest
from evenly.folder.place import output_places
from evenly.folder.selection import SelectionFolder
from evenly.request import PICKED
from evenly.rows.formats import check_kind, stem_of
from evenly.words import decimals, percent, percent_proven

CARD_FILE = "README.md"


@dataclass(frozen=True)
class Pushed:
    """What was pushed, or written to a folder to look at.

    Attributes:
        name: of the repository.
        files: in it, by their paths.
        place: its address, or the folder of a dry run.
        dry_run: whether nothing was pushed.
        shown_rows: rows of the pool of which the record holds the beginning of the text.
    """

    name: str
    files: list[str]
    place: str
    dry_run: bool
    shown_rows: int

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return asdict(self)


def push_selection(selection: Path, to: str, *, private: bool = False, dry_run: Path | None = None) -> Pushed:
    """Pushes a selection in one commit; with ``dry_run`` writes exactly what would be pushed.

    Args:
        selection: the folder that select wrote, or the kept rows beside it.
        to: the repository, NAME or OWNER/NAME. It is made where there is none.
        private: whether a new repository is private.
        dry_run: a folder that is not there yet; nothing is pushed.

    Raises:
        InputError: kept rows that were changed or are in several formats, a name that the hub does not take, no token,
            a repository that has a card, or a hub that cannot be reached. Nothing was pushed then.
    """
    _check_name(to)
    folder = SelectionFolder.open(selection)
    folder.kept_files()  # as select wrote them
    card = dataset_card(folder, to)
    with _built(folder, card, dry_run) as built:
        files = sorted(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file())
        place = str(dry_run) if dry_run else _upload(built, to, private)
    return Pushed(to, files, place, dry_run is not None, len(folder))


@contextmanager
def _built(folder: SelectionFolder, card: str, place: Path | None) -> Iterator[Path]:
    """The repository as a folder: kept rows and record beside each other as they are here, and the card."""
    if place is not None and place.exists():
        raise InputError(f"{place} is there; name a new folder for `dry_run`")
    around = folder.path.resolve().parent
    above = None if place is None else place.resolve().parent
    if above is not None and not above.is_dir():
        raise InputError(f"the folder {above} of `dry_run` does not exist; make it first")
    with (
        one_line_errors(place or Path("the temporary folder")),
        tempfile.TemporaryDirectory(dir=above) as made,
    ):
        built = Path(made, "repository")
        shutil.copytree(folder.path, built / folder.path.resolve().name)
        for kept in output_places(folder.manifest, folder.path):
            target = built / kept.relative_to(around)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(kept, target)
        (built / CARD_FILE).write_text(card, encoding="utf-8")
        if place is not None:
            built.rename(place)
        yield place or built


def dataset_card(folder: SelectionFolder, name: str) -> str:
    """The card: front matter that makes the kept rows load, and what they are, how even, and how to check them.

    Raises:
        InputError: kept rows in several formats, which a repository cannot hold together.
    """
    manifest, measures = folder.manifest, folder.measures
    outputs = [output for output in manifest.outputs if output.rows]
    formats = {check_kind(output.name).format.name for output in outputs}
    if len(formats) > 1:
        raise InputError(
            f"the kept rows of {folder.path} are in {', '.join(sorted(formats))}; a repository on the hub is read in "
            "one format: select into one file, or convert the sources"
        )
    lines = ["---", "# license: fill in, after the licences of the sources", "configs:"]
    for output in outputs:
        config = "default" if len(outputs) == 1 else stem_of(Path(output.name).name)
        lines += [f'- config_name: "{config}"', f'  data_files: "{output.name}"']
    lines += ["tags:", "- evenly", "---", "", f"# {name.rpartition('/')[2]}", "", *_what(manifest), ""]
    lines += ["## How even", "", *_how_even(manifest, measures), "", "## Check it", ""]
    lines += [
        f"    hf download --repo-type dataset {name}",
        f"    evenly verify {name}",
        "",
        "checks every pick against the definition where the sources are at hand (or named), else the files alone.",
        "",
        "## How it was made",
        "",
        *_how_made(manifest),
        "",
        f"`{folder.path.resolve().name}/` is the record: the order of picking, the measures, a page, and the hash of "
        "every file. It holds the beginning of the text of every row of the pool, also of those that were not kept.",
        "",
        "## Licence",
        "",
        "The rows are those of the sources, unchanged, and have their licences. Fill in: which these are.",
        "",
    ]
    return "\n".join(lines)


def _what(manifest: Manifest) -> list[str]:
    share = percent(manifest.kept / manifest.pool_rows)
    sources = ", ".join(f"`{Path(source.name).name}` ({source.rows:,} rows)" for source in manifest.sources)
    lines = [
        f"{manifest.kept:,} of {manifest.pool_rows:,} rows ({share}) of {sources}, kept by "
        f"evenly {manifest.evenly} so that they lie as far apart as possible and leave no row of the pool far from "
        "a kept one."
    ]
    if manifest.options.order == PICKED:
        lines += [
            "",
            "The rows are in the order of picking: the first k of them are the selection of size k.",
        ]
    return lines


def _how_even(manifest: Manifest, measures: dict[str, Any]) -> list[str]:
    unit = "1 - cos" if manifest.metric == "cosine" else "euclidean"
    random, proof = measures.get("random") or {}, measures.get("certificate") or {}
    lines = [f"| distance ({unit}) | kept | random rows (median) |", "|---|---|---|"]
    for name, meaning in (
        ("mean_nearest", "of a kept row from the nearest other one, on average"),
        ("h_min", "between the closest two"),
        ("fill", "of the farthest row of the pool from a kept one"),
    ):
        value, other = measures.get("kept", {}).get(name), random.get(name, {}).get("median")
        lines.append(f"| {meaning} | {decimals(value)} | {decimals(other)} |")
    if proof.get("share_of_best"):
        best = percent_proven(proof["share_of_best"])
        lines += [
            "",
            f"Certificate: the closest two are proven at least {best} of the best possible for this many rows.",
        ]
    return lines


def _how_made(manifest: Manifest) -> list[str]:
    asked = {"keep": manifest.keep, **manifest.options.controls}
    lines = ["| | |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(value)} |" for name, value in asked.items()]
    lines.append(
        f"| encoder | {_cell(Path(manifest.encoder.name).name)}, {manifest.encoder.dimension} dimensions |"
    )
    lines += [
        f"| SHA-256 of {_cell(Path(one.name).name)} | `{one.sha256}` |"
        for one in manifest.sources
        if one.sha256
    ]
    return lines


def _cell(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _check_name(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        reason = str(error).split(": '")[0].splitlines()[0].rstrip(".")
        raise InputError(
            f"`to` must be NAME or OWNER/NAME as the hub takes it; got {name!r} ({reason})"
        ) from None


def _upload(built: Path, to: str, private: bool) -> str:
    """One commit with everything, after all that can be refused was asked."""
    from huggingface_hub import HfApi, get_token

    if get_token() is None:
        raise InputError(
            "no token for the hub; run: hf auth login, or set HF_TOKEN (or look first, with `dry_run`)"
        )
    api = HfApi()
    try:
        name = to if "/" in to else f"{api.whoami()['name']}/{to}"
        if api.file_exists(name, CARD_FILE, repo_type="dataset"):
            raise InputError(f"{name} has a card already, which would be replaced; name another repository")
        api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name, folder_path=built, repo_type="dataset", commit_message="Kept rows and their record"
        )
    except InputError:
        raise
    except Exception as error:  # whatever the hub's client or its connection raises
        said = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise InputError(f"{to} could not be pushed ({said}); check name, token and network") from None
    return f"{api.endpoint}/datasets/{name}"


def pulled(name: str) -> Path | None:
    """The record of a repository that is in the local cache of the hub; None where there is none of that name."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        place = Path(snapshot_download(name, repo_type="dataset", local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None
    return next(iter(sorted(place.glob("*.evenly"))), None)
