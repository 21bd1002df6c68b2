"""The detectors that come with eotasks, a module each."""
