"""How much is read of what others give, at most: bytes, files, pixels, seconds.

Each bound is above what any real input has, so that only a damaged or a hostile one meets it. Every refusal names the
environment variable that lifts it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from eotasks.errors import ConfigurationError

MEGABYTE = 1024**2


@dataclass(frozen=True)
class Limit:
    """A bound of what is read."""

    name: str
    """In words, as the environment variable has it: "metadata bytes" is EOTASKS_MAX_METADATA_BYTES."""

    default: int
    reason: str
    """What real inputs have, for the documentation."""

    @property
    def variable(self) -> str:
        """The environment variable that sets another bound."""
        return f"EOTASKS_MAX_{self.name.upper().replace(' ', '_')}"

    @property
    def value(self) -> int:
        """The bound: of the environment, else the default.

        :raises ConfigurationError: when the variable is no whole number above 0.
        """
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
            raise ConfigurationError(f"{self.variable} is {text[:40]!r}: give a whole number above 0, or unset it.")
        return int(text)

    def excess(self, found: int | None = None) -> str:
        """What a refusal says, after the place and before the cure.

        :param found: How much it is; None when that is not known.
        """
        much = f"more than {self.value:,}" if found is None else f"{found:,}, more than {self.value:,}"
        return f"{much} {self.name} ({self.variable} allows more)"


METADATA_BYTES = Limit(
    "metadata bytes", 64 * MEGABYTE, "XML of a data strip reaches 13 MB, that of a tile half of one; a STAC item 100 kB"
)
PRODUCT_FILES = Limit("product files", 20_000, "a product has some hundred")
DOCUMENT_BYTES = Limit(
    "document bytes", 16 * MEGABYTE, "JSON of an item, a card, a marker or a line of a manifest has 100 kB at most"
)
DOCUMENT_LEVELS = Limit("document levels", 100, "JSON and TOML of products, models and runs nest ten levels at most")
CONFIGURATION_BYTES = Limit("configuration bytes", MEGABYTE, "a TOML file has some kilobytes")

LIMITS = (METADATA_BYTES, PRODUCT_FILES, DOCUMENT_BYTES, DOCUMENT_LEVELS, CONFIGURATION_BYTES)
"""All bounds, for the documentation and its test."""
