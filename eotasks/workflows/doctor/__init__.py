"""Is this machine fit for the work: what is installed, which drivers and settings there are, cores and memory."""
