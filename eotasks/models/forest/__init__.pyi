from .engine import Forest as Forest
