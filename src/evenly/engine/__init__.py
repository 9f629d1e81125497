"""Vectors to orders: distances, quantised codes, pools, the greedy loop, and the search for neighbours."""
