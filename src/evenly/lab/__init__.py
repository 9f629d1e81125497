"""The lab: the theory of the paper, measured and drawn. `docs/theory.md` holds the statements and proofs."""
