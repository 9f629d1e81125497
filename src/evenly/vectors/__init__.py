"""Rows to vectors: a registry of encoders, models on this machine, batches on all cores, a cache keyed by content."""
