"""Statistics of what a script draws, interval after interval."""
