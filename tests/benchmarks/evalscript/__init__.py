"""The loop over pixels against node's."""
