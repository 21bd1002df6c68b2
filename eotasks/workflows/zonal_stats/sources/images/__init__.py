"""Sources of images: what their entries on the command line open."""
