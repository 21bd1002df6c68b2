"""`eotasks new-config`: a configuration to begin with."""
