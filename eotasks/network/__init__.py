"""What all that asks servers has in common: retries, bounds of answers, what a refusal means; nothing asks here."""

from __future__ import annotations
