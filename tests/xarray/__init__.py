"""Tests of eotasks.xarray."""
