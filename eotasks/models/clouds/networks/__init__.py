"""Neural networks of others that find clouds, run on arrays. None is imported before it is used: all are optional."""
