"""A selection on disk: what lets someone else check or repeat it.

A selection folder ``kept.evenly/`` holds

* ``manifest.json``: what was asked for, of which files, and their hashes (`evenly.folder.manifest`);
* ``order.parquet``: one line per pool row, in pool order (`evenly.folder.order`);
* ``view.parquet``: one line per pool row, what a person sees of it (`evenly.folder.view`);
* ``measures.json``: how even pool, kept rows and random subsets are, and what the controls did;
* ``excluded.parquet``, where a control kept rows from being picked: which, and why (`evenly.folder.excluded`);
* ``report.html``: the page made from the files above.

`evenly.folder.selection.SelectionFolder` reads them.
"""
