"""Detectors of clouds: what one is (protocol), which there are (registry), and a module for each."""
