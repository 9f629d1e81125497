"""Training the arms of a comparison, measuring them, and saying what came out. Never selects rows itself."""
