"""Searching for products as the Catalog API of Sentinel Hub has it."""
