"""What one calls from Python on what is in memory: vectors, or rows that are embedded.

`evenly` itself exports these functions. Each takes every option of reading and choosing that the command of its name
has, under the same name. Where an option names a file or a field on the command line, it may be the values themselves.
"""
