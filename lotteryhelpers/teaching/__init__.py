"""Aids for readers and teachers: the checks of the exercises, and the explorer with its slider."""
