"""Beside the main experiment: pruning in rounds, restarts, supermasks, compact networks, other scores."""
