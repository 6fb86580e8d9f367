"""Forecasts of a collection's disk, memory and time."""
