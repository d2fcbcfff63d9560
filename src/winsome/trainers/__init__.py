"""Trainers that people use as the `train(model, level)` of a search: one module each."""
