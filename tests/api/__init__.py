"""What is called from Python on vectors and rows in memory."""
