"""Pixels of a request: which products, in which order, on which grid."""
