"""What is known of a request while it is answered: names in its `state`."""

from __future__ import annotations

CLIENT_STATE = "eotasks_client"
"""The client that it came from, for the log."""

NUMBER_STATE = "eotasks_number"
"""Its number, by which the log has it."""
