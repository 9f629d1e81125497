"""The cache: what was embedded stays embedded, and nothing wrong ever comes out of it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenly.errors import InputError
from evenly.request import Long
from evenly.vectors.cache import FLUSH_ROWS, Cache, Store, text_keys
from evenly.vectors.embedding import embed_texts
from tests.vectors.models import HashEncoder

TEXTS = [f"row {i}" * (1 + i % 3) for i in range(100)]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache.open(tmp_path / "cache")


def hashing(stop_after: int | None = None) -> HashEncoder:
    return HashEncoder(stop_after=stop_after)


def right(texts: list[str], long: Long = "cut") -> np.ndarray:
    return np.array([HashEncoder(long=long).vector(text) for text in texts])


def shards(cache: Cache) -> list[Path]:
    return sorted(cache.folder.glob("*/*.vectors"))


def test_a_second_run_embeds_nothing(cache: Cache) -> None:
    first = embed_texts(TEXTS, hashing(), cache=cache)
    second = embed_texts(TEXTS[::-1], hashing(stop_after=0), cache=cache)
    assert (first.embedded, second.embedded, second.cached) == (100, 0, 100)
    assert first.long_rows == second.long_rows == sum(len(text) > 10 for text in TEXTS)
    assert np.array_equal(first.vectors, right(TEXTS))
    assert np.array_equal(second.vectors, right(TEXTS[::-1]))


def test_only_new_texts_are_embedded(cache: Cache) -> None:
    embed_texts(TEXTS[:60], hashing(), cache=cache)
    encoder = HashEncoder()
    done = embed_texts(TEXTS[40:] + TEXTS[:5], encoder, cache=cache)
    assert encoder.asked == TEXTS[60:]
    assert (done.cached, done.embedded) == (25, 40)
    assert np.array_equal(done.vectors, right(TEXTS[40:] + TEXTS[:5]))


def test_settings_and_encoders_do_not_mix(cache: Cache) -> None:
    embed_texts(TEXTS, hashing(), cache=cache)
    averaging = HashEncoder(long="mean")
    assert np.array_equal(embed_texts(TEXTS, averaging, cache=cache).vectors, right(TEXTS, "mean"))
    for other in (HashEncoder(identity="other"), HashEncoder(runtime="other")):
        assert embed_texts(TEXTS, other, cache=cache).embedded == 100


@pytest.mark.parametrize("stop_after", [0, 1, 50, 98])
def test_an_interrupted_run_goes_on_where_it_stopped(cache: Cache, stop_after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        embed_texts(TEXTS, hashing(stop_after), cache=cache)
    rest = HashEncoder()
    done = embed_texts(TEXTS, rest, cache=cache)
    kept = -(-stop_after // 7) * 7
    assert (done.cached, rest.asked) == (kept, TEXTS[kept:])
    assert np.array_equal(done.vectors, right(TEXTS))


def test_shards_are_written_as_it_goes(cache: Cache) -> None:
    texts = [f"row {row}" for row in range(2 * FLUSH_ROWS + 10)]
    embed_texts(texts, HashEncoder(together=FLUSH_ROWS // 4), cache=cache)
    assert len(shards(cache)) == 3
    assert np.array_equal(embed_texts(texts, hashing(0), cache=cache).vectors, right(texts))


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_shard_with_any_bit_flipped_gives_right_vectors(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    cache = Cache.open(tmp_path_factory.mktemp("cache"))
    embed_texts(TEXTS[:9], hashing(), cache=cache)
    (shard,) = shards(cache)
    spoiled = bytearray(shard.read_bytes())
    spoiled[int(place * len(spoiled))] ^= 1 << bit
    shard.write_bytes(spoiled)
    done = embed_texts(TEXTS[:9], hashing(), cache=cache)
    assert np.array_equal(done.vectors, right(TEXTS[:9]))
    again = embed_texts(TEXTS[:9], hashing(0), cache=cache)
    assert (again.cached, again.embedded) == (9, 0)


@pytest.mark.parametrize("left", [0, 10, 128, 1000, -1])
def test_a_half_shard_is_embedded_again(cache: Cache, left: int) -> None:
    embed_texts(TEXTS[:50], hashing(), cache=cache)
    embed_texts(TEXTS[50:], hashing(), cache=cache)
    shard = cache.store(hashing()).shards[0]
    os.truncate(shard.path, left % shard.path.stat().st_size)
    done = embed_texts(TEXTS, hashing(), cache=cache)
    assert (done.cached, done.embedded) == (50, 50)
    assert np.array_equal(done.vectors, right(TEXTS))
    assert not shard.path.exists()


def _fill(folder: Path, first: int, count: int) -> None:
    for start in range(first, first + count, 10):
        embed_texts([f"text {i}" for i in range(start, start + 20)], hashing(), cache=Cache.open(folder))


def test_two_processes_share_a_cache(cache: Cache) -> None:
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=_fill, args=(cache.folder, first, 300)) for first in (0, 150)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    texts = [f"text {i}" for i in range(460)]
    done = embed_texts(texts, hashing(0), cache=cache)
    assert np.array_equal(done.vectors, right(texts))
    assert not list(cache.folder.glob("*/*.tmp"))


KILLED = """
import sys
from evenly.vectors.cache import FLUSH_ROWS, Cache
from evenly.vectors.embedding import embed_texts
from tests.vectors.models import HashEncoder
slow = HashEncoder(together=FLUSH_ROWS, pause=0.05)
embed_texts([f"text {i}" for i in range(20 * FLUSH_ROWS)], slow, cache=Cache.open(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_killed_run_loses_its_last_shard_at_most(cache: Cache) -> None:
    root = Path(__file__).parents[2]
    for kill in range(3):
        run = subprocess.Popen([sys.executable, "-c", KILLED, str(cache.folder)], cwd=root)
        while len(shards(cache)) < 3 * (kill + 1):
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
    texts = [f"text {i}" for i in range(20 * FLUSH_ROWS)]
    done = embed_texts(texts, hashing(), cache=cache)
    assert done.cached >= 9 * FLUSH_ROWS
    assert np.array_equal(done.vectors, right(texts))


def test_size_and_clear_touch_the_cache_alone(cache: Cache) -> None:
    assert (cache.size().vectors, cache.clear().bytes) == (0, 0)
    embed_texts(TEXTS, hashing(), cache=cache)
    mine = cache.folder / "mine.vectors"
    mine.write_text("keep")
    leftover = shards(cache)[0].with_suffix(".tmp")
    leftover.write_bytes(b"half")
    size = cache.size()
    assert (size.shards, size.vectors) == (1, 100)
    assert size.bytes == sum(path.stat().st_size for path in (*shards(cache), leftover))
    assert cache.clear() == size
    assert [path.name for path in cache.folder.iterdir()] == ["mine.vectors"]


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENLY_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache.open().folder == tmp_path / ".cache" / "evenly"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Cache.open().folder == tmp_path / "xdg" / "evenly"
    monkeypatch.setenv("EVENLY_CACHE", "~/own")
    assert Cache.open().folder == tmp_path / "own"


def test_a_cache_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; set EVENLY_CACHE"):
        Cache.open(tmp_path / "file")
    with pytest.raises(InputError, match=r"cannot be written: .*`use_cache=False`"):
        embed_texts(TEXTS, hashing(), cache=Cache.open(tmp_path / "file" / "below"))


def test_a_full_disk_is_said_and_leaves_no_half(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"the disk is full: the cache .* was not written"):
        embed_texts(TEXTS, hashing(), cache=cache)
    assert not [path for path in cache.folder.rglob("*") if path.is_file()]


def test_many_known_texts_are_found_quickly_and_rightly(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(20_000)]
    keys, vectors = text_keys(texts), np.arange(40_000, dtype=np.float32).reshape(-1, 2)
    store = Store(tmp_path, b"n" * 32, 2)
    for start in range(0, 20_000, 5_000):
        with store.writing() as keep:
            block = slice(start, start + 5_000)
            keep(keys[block], np.arange(20_000)[block], vectors[block])
    order = np.random.default_rng(0).permutation(20_000)
    out = np.empty_like(vectors)
    assert np.array_equal(Store(tmp_path, b"n" * 32, 2).fetch(keys[order], out, order), order)
    assert np.array_equal(out, vectors)


@pytest.mark.parametrize("long", ["cut", "mean"])
def test_vectors_that_version_0_1_0_kept_are_found(tmp_path: Path, long: Long) -> None:
    """Version 0.1.0 embedded these texts with its own `HashEncoder` of the same identity and runtime."""
    folder = shutil.copytree(Path(__file__).parents[1] / "fixtures" / "cache_v0_1_0", tmp_path / "old")
    texts = [f"row {row}" for row in range(20)]
    done = embed_texts(texts, HashEncoder(long=long, stop_after=0), cache=Cache.open(folder))
    assert (done.cached, done.embedded) == (20, 0)
    assert np.array_equal(done.vectors, right(texts, long))
