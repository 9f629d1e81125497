"""``python -m evenly``."""

from evenly.cli import main

main()
