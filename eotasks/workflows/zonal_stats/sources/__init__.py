"""Where field statistics get their numbers: a protocol, a registry, and one module a source."""
