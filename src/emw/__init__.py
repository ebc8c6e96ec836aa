"""Demand-response head-end for electric-vehicle charging."""

__version__ = "0.1.0.dev0"
