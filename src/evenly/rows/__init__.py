"""Rows in and out: sources, record forms, row ids, kept files and the manifest."""
