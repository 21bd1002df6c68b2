"""Bands, probabilities and shadows as the tests of cloud tasks and models need them."""
