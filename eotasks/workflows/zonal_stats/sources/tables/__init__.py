"""Sources that make tables themselves: what they are on the command line lies in the folder above."""
