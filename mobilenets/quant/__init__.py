"""Integers instead of floats: the law, how a trained network is brought under it, and what that costs in accuracy."""
