"""Files and folders that appear whole or not at all, their hashes, scratch files, and what killed runs left.

Everything evenly writes is made under a temporary name beside its place, ``.NAME.PROCESS.TOKEN.tmp``, and renamed
once it is whole (`new_files`). What belongs together takes its places together, under a lock on the folder, so
that of two processes that write one place at once the later one wins in all of it. A failure, or Ctrl-C,
removes what was half made. What a killed process leaves is emptied by the next one that writes there, and removed
once that has put its own in place: until then it tells that what lies there may be older than its record.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from evenly.errors import InputError, first_line

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1 << 20
"""Bytes of a file that are read at a time: enough that the calls cost nothing beside the hashing."""

ELSEWHERE = "make room or name another place"
ANOTHER_CACHE = "make room there, set EVENLY_CACHE to another folder, or use `use_cache=False`"
_TEMPORARY_NAME = re.compile(r"\.([^/\\]+)\.\d+\.[0-9a-f]{8}\.tmp\b")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return sha256_of(stream)


def sha256_of(stream: BinaryIO) -> str:
    """SHA-256 of a whole file that is open for reading."""
    digest = hashlib.sha256()
    stream.seek(0)
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


@contextmanager
def one_line_errors(path: Path | str, advice: str = ELSEWHERE) -> Iterator[None]:
    """Turns what the system says of a path that cannot be written into one clear line.

    Args:
        path: what is written.
        advice: what the user can do.
    """
    try:
        yield
    except OSError as error:
        name = _TEMPORARY_NAME.sub(r"\1", str(path))
        if error.errno in _FULL:
            raise InputError(f"the disk is full: {name} was not written; {advice}") from None
        # Libraries that write put more than the reason into their own words.
        reason = os.strerror(error.errno) if error.errno else first_line(error)
        raise InputError(f"{name} cannot be written: {reason}; {advice}") from None


class NewFiles:
    """Files and folders on their way to their places; made by `new_files`."""

    def __init__(self, name: str | None, advice: str, durable: bool, make_folders: bool) -> None:
        self._name, self._advice = name, advice
        self._durable, self._make_folders = durable, make_folders
        self._pending: list[tuple[Path, Path]] = []
        self._made: list[Path] = []
        self._replaced: list[Path] = []

    @contextmanager
    def open(self, path: Path) -> Iterator[BinaryIO]:
        """A new file, open for writing and reading."""
        with self._one_line(path), self._temporary(path).open("x+b") as stream:
            yield stream
            stream.flush()
            if self._durable:
                os.fsync(stream.fileno())

    def folder(self, path: Path) -> Path:
        """A new, empty folder, which takes the place of the one at ``path`` with all that is in it."""
        with self._one_line(path):
            temporary = self._temporary(path)
            temporary.mkdir()
        return temporary

    def instead_of(self, paths: Iterable[Path]) -> None:
        """Files that go when the new ones are in their places, and the folders that held nothing else."""
        self._replaced += paths

    def _one_line(self, path: Path) -> AbstractContextManager[None]:
        return one_line_errors(self._name or path, self._advice)

    def _temporary(self, path: Path) -> Path:
        if self._make_folders:
            missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir(exist_ok=True)
                self._made.append(folder)
        clear_leftovers(path, leave_names=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        self._pending.append((temporary, path))
        return temporary

    def place(self) -> None:
        """Renames everything, in the order in which it was begun."""
        if not self._pending:
            return
        folder = self._pending[0][1].parent
        with self._one_line(folder), _locked(folder):
            for temporary, path in self._pending:
                if path.is_dir() and not temporary.is_dir():
                    with self._one_line(path):
                        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            for temporary, path in self._pending:
                with self._one_line(path):
                    _replace(temporary, path)
            for path in self._replaced:
                _remove(path)
                with suppress(OSError):  # it holds other files
                    path.parent.rmdir()
            for _, path in self._pending:
                clear_leftovers(path)
            if self._durable:
                for parent in dict.fromkeys(path.parent for _, path in self._pending):
                    _sync_folder(parent)

    def remove(self, failed: bool) -> None:
        """Removes what has not been placed, after a failure with the folders that were made for it."""
        for temporary, _ in self._pending:
            _remove(temporary)
        for folder in reversed(self._made) if failed else ():
            with suppress(OSError):  # another process put something in it meanwhile
                folder.rmdir()


@contextmanager
def new_files(
    *, name: str | None = None, advice: str = ELSEWHERE, durable: bool = True, make_folders: bool = False
) -> Iterator[NewFiles]:
    """Makes files and folders that take their places together when the block ends; none of them where it fails.

    Args:
        name: what to call them in a message; None names each by its path.
        advice: what the user can do where they cannot be written.
        durable: whether they are on the disk, not only on their way, before they take their places. What has a
            checksum and can be made again needs no such wait.
        make_folders: whether missing folders above them are made.

    Raises:
        InputError: something cannot be written. The old files are there still.
    """
    files = NewFiles(name, advice, durable, make_folders)
    failed = True
    try:
        yield files
        files.place()
        failed = False
    finally:
        files.remove(failed)


def write_atomically(path: Path, text: str | Iterable[str]) -> None:
    """Writes a text, or its pieces, whole or not at all; see `new_files`."""
    with new_files() as files, files.open(path) as stream:
        stream.writelines(piece.encode() for piece in ([text] if isinstance(text, str) else text))


def write_table(path: Path, tables: pa.Table | Iterable[pa.Table], schema: pa.Schema | None = None) -> str:
    """Writes a Parquet file whole or not at all.

    Args:
        path: of the file.
        tables: one, or blocks of rows of one schema.
        schema: of the blocks.

    Returns:
        Its SHA-256.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = [tables] if isinstance(tables, pa.Table) else tables
    schema = tables.schema if isinstance(tables, pa.Table) else schema
    with new_files() as files, files.open(path) as stream:
        with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
            for block in blocks:
                writer.write_table(block)
        return sha256_of(stream)


def leftovers(target: Path) -> list[Path]:
    """What dead processes left beside a file or folder while they were writing it.

    It is named ``.NAME.PROCESS.TOKEN.tmp``, and ``….old`` for a folder that was just being replaced.
    """
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(\d+)(?:\.[0-9a-f]+)?\.(tmp|old)")
    beside = sorted(target.parent.iterdir()) if target.parent.is_dir() else ()
    return [one for one in beside if (found := pattern.fullmatch(one.name)) and not _runs(int(found[1]))]


def clear_leftovers(target: Path, *, leave_names: bool = False) -> None:
    """Removes `leftovers`; a folder that was being replaced takes its place again where nothing else has.

    Args:
        target: the file or folder that was being written.
        leave_names: only empties files, whose names still tell that a run was killed.
    """
    for left in leftovers(target):
        if left.suffix == ".old" and not target.exists():
            left.replace(target)
        elif leave_names and left.is_file():
            with suppress(OSError):
                os.truncate(left, 0)
        else:
            _remove(left)


@contextmanager
def scratch_stream(folder: Path | None, told: str = "") -> Iterator[IO[bytes]]:
    """A file without a name, which vanishes with the process however it ends.

    Args:
        folder: where its bytes lie, made where it is missing; None takes the system's for temporary files.
        told: what to add for the user where it cannot be written.

    Raises:
        InputError: the folder cannot be written to, or its disk fills.
    """
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            yield file
    except OSError as error:
        raise InputError(
            f"scratch files in {folder or tempfile.gettempdir()} cannot be written: {error.strerror or error}; "
            f"make room there, or name another folder with EVENLY_CACHE{told}"
        ) from None


def scratch_file(write: Callable[[IO[bytes]], object], folder: Path | None) -> mmap.mmap:
    """What ``write`` writes to a scratch file, mapped."""
    with scratch_stream(folder) as file:
        write(file)
        return mapped(file)


def mapped(file: IO[bytes]) -> mmap.mmap:
    """The bytes of an open file, mapped to be read; they stay when it is closed."""
    file.flush()
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _replace(temporary: Path, path: Path) -> None:
    """Renames; a folder that is in the way goes aside first, and comes back where the rename fails."""
    if not (temporary.is_dir() and path.is_dir()):
        temporary.replace(path)
        return
    old = temporary.with_suffix(".old")
    path.replace(old)
    try:
        temporary.replace(path)
    except OSError:
        old.replace(path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds other processes of evenly off a folder for a moment, where the system can."""
    try:
        import fcntl

        held = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


@contextmanager
def sole_process(path: Path) -> Iterator[None]:
    """Holds a file for this process, which goes on in what lies beside it, where the system can.

    Raises:
        InputError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another run is at work in {path.parent}; wait for its end, or name another folder"
            ) from None
        except OSError:  # some network file systems have no locks
            pass
        yield


def _sync_folder(folder: Path) -> None:
    """Puts renames on the disk, where the system can."""
    with suppress(OSError):
        held = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(held)
        finally:
            os.close(held)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
