"""Processes that run evalscripts: what is said to them, what they give up, who starts and ends them."""
