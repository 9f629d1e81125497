"""Temporary files and folders of runs that were killed: found by the number of their process, and cleared."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path


def clear_leftovers(target: Path) -> None:
    """Removes what dead processes left beside a file or folder while they were writing it.

    They are named ``.NAME.PROCESS.tmp``, and ``.NAME.PROCESS.old`` for a folder that was just being replaced; the
    latter takes its place again where nothing else has. Those of processes that still run are left alone.
    """
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(\d+)\.(tmp|old)")
    for left in sorted(target.parent.iterdir()) if target.parent.is_dir() else ():
        found = pattern.fullmatch(left.name)
        if found is None or _runs(int(found[1])):
            continue
        if found[2] == "old" and not target.exists():
            left.replace(target)
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
