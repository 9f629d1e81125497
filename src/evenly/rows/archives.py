"""Archives (.zip, .tar, compressed ones too) as one source: their files of JSON Lines joined, or one of another format.

Nothing is unpacked to a place that an archive names: members are read one after the other, into memory or a scratch
file without a name. What they hold is bounded by the sizes that they declare, and these by the room there is.
"""

from __future__ import annotations

import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from evenly.errors import InputError
from evenly.files import BLOCK_BYTES, file_sha256
from evenly.rows.compression import COMPRESSIONS, decompressed
from evenly.rows.contents import Contents, read_contents, spooled
from evenly.rows.folders import is_beside
from evenly.rows.formats import check_kind, kind_of
from evenly.rows.json_lines import JsonLines
from evenly.rows.sessions import is_session
from evenly.rows.textfile import BOM
from evenly.words import size

ENDINGS = (".zip", ".tar", ".tgz", *(f".tar{each.ending}" for each in COMPRESSIONS))
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(RuntimeError, NotImplementedError, EOFError, OSError, UnicodeDecodeError),
)


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    open: Callable[[], IO[bytes]]


def is_archive(name: str) -> bool:
    """Whether a file's name ends as an archive's does."""
    return name.lower().endswith(ENDINGS)


def read_archive(path: Path, name: str, scratch: Path | None) -> tuple[str, str, Contents]:
    """What an archive holds.

    Args:
        path: of the archive.
        name: what to call it in a message.
        scratch: folder for what is large; None takes that of the system.

    Returns:
        The SHA-256 of its bytes, the name of its (first) file of rows, and what that holds, decompressed.

    Raises:
        InputError: no archive, a damaged or an encrypted one, no file of rows, several that do not make one, or more
            than there is room for.
    """
    try:
        with ExitStack() as opened:
            members = [member for member in _members(path, name, scratch, opened) if _may_hold_rows(member)]
            _check(members, name, scratch)
            data = spooled(_joined(members, name), scratch)
    except InputError:
        raise
    except _BROKEN as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise InputError(
            f"{name} cannot be unpacked ({reason}); fetch it again, or unpack it yourself"
        ) from None
    return file_sha256(path), members[0].name, data


def _members(path: Path, name: str, scratch: Path | None, opened: ExitStack) -> Iterator[_Member]:
    """The plain files of an archive, in its order."""
    if name.lower().endswith(".zip"):
        archive = opened.enter_context(zipfile.ZipFile(path))
        for entry in archive.infolist():
            if not entry.is_dir():
                yield _Member(entry.filename, entry.file_size, partial(archive.open, entry))
        return
    compression = next((each for each in COMPRESSIONS if name.lower().endswith(each.ending)), None)
    if name.lower().endswith(".tgz"):
        compression = next(each for each in COMPRESSIONS if each.ending == ".gz")
    _, data = read_contents(path, compression, name, scratch)
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    tar = opened.enter_context(tarfile.TarFile(fileobj=cast(IO[bytes], stream)))
    for part in tar:
        if part.isreg():
            yield _Member(part.name, part.size, partial(_taken, tar, part))


def _taken(tar: tarfile.TarFile, part: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(part)
    if stream is None:
        raise tarfile.ReadError(f"{part.name} is no plain file")
    return stream


def _may_hold_rows(member: _Member) -> bool:
    path = PurePosixPath(member.name)
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
    return not hidden and not is_beside(Path(path.name)) and kind_of(path.name) is not None


def _check(members: Sequence[_Member], name: str, scratch: Path | None) -> None:
    if not members:
        raise InputError(
            f"{name} holds no file of rows (.jsonl, .csv, .parquet …); unpack it and name its files"
        )
    formats = {check_kind(member.name).format.name for member in members}
    if len(members) > 1 and (formats != {"jsonl"} or _holds_session(members[0], name)):
        shown = ", ".join(PurePosixPath(member.name).name for member in members[:3])
        raise InputError(
            f"{name} holds {len(members)} files that cannot be joined to one ({shown} …); unpack it and name the folder"
        )
    needed, room = sum(member.size for member in members), _room(scratch)
    if needed > room:
        raise InputError(
            f"{name} holds {size(needed)}, and there is room for {size(room)}; make room, or unpack less"
        )


def _room(scratch: Path | None) -> int:
    place = (scratch or Path(tempfile.gettempdir())).absolute()
    there = next(
        folder for folder in (place, *place.parents) if folder.exists()
    )  # it is made when it is needed
    return shutil.disk_usage(there).free


def _holds_session(member: _Member, name: str) -> bool:
    try:
        return is_session(JsonLines(name, b"".join(_blocks(member, name))))
    except InputError:
        return False


def _joined(members: Sequence[_Member], name: str) -> Iterator[bytes]:
    """The bytes of files of lines, each of which begins on a line of its own; those of a single file as they are."""
    for number, member in enumerate(members):
        ended = True
        for place, block in enumerate(_blocks(member, name)):
            yield block.removeprefix(BOM) if number and not place else block
            ended = block.endswith(b"\n") if block else ended
        if not ended and number + 1 < len(members):
            yield b"\n"


def _blocks(member: _Member, name: str) -> Iterator[bytes]:
    with member.open() as stream:
        read = iter(lambda: stream.read(BLOCK_BYTES), b"")
        compression = check_kind(member.name).compression
        yield from decompressed(read, compression, f"{member.name} in {name}") if compression else read
