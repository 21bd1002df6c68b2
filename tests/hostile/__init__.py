"""Input that somebody made to do harm: refused by name, nothing of it runs, and no process ends."""
