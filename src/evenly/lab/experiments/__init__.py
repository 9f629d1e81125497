"""The experiments: each module has ``run(setup) -> Result`` and ``draw(result) -> Figure``."""
