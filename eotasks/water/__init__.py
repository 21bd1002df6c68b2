"""Water levels: where water is in an image, and how much of the outline of a full lake it fills."""
