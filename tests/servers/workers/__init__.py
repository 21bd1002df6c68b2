"""Workers of the service that run Python in the place of JavaScript."""
