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


GIGABYTE = 1024 * MEGABYTE

METADATA_BYTES = Limit(
    "metadata bytes", 24 * MEGABYTE, "XML of a data strip reaches 13 MB, that of a tile half of one; a STAC item 100 kB"
)
XML_ELEMENTS = Limit("XML elements", 300_000, "metadata of a tile has some 10,000")
XML_TEXT = Limit("XML text bytes", MEGABYTE, "the longest text is an outline of some 10,000 corners")
PRODUCT_FILES = Limit("product files", 20_000, "a product has some hundred")
ITEM_ASSETS = Limit("item assets", 1_000, "an item of a catalogue has up to 40")
FOOTPRINT_CORNERS = Limit("footprint corners", 100_000, "the footprint of a product has some hundred")
IMAGE_SIDE = Limit("image side pixels", 12_000, "a tile has 10,980 rows and columns at 10 m")
BLOCK_PIXELS = Limit(
    "block pixels", 150_000_000, "blocks of rasters have some 260,000; a tile in one block 121 million"
)
IMAGE_LAYERS = Limit("image layers", 16, "a mask has up to 8")
RECORD_BYTES = Limit(
    "record bytes", 64 * MEGABYTE, "markers, leases, cards, configurations and JSON of EOPatches: some kB"
)
DOCUMENT_LEVELS = Limit("document levels", 100, "JSON and TOML of products, models and runs nest ten levels at most")
DOCUMENT_SIGNS = Limit(
    "document signs",
    2_000_000,
    "commas, colons and the like; JSON has one in 9 to 17 bytes, a page of 200 STAC items 350,000",
)
DOCUMENT_VALUES = Limit("document values", 200_000, "cards, configurations and labels have some hundred")
MANIFEST_BYTES = Limit("manifest bytes", 1 * GIGABYTE, "a run of 100,000 patches writes 60 MB")
CATALOGUE_BYTES = Limit("catalogue bytes", 2 * GIGABYTE, "100,000 products take 30 MB")
CATALOGUE_ROWS = Limit("catalogue rows", 100_000_000, "Sentinel-2 has some 40 million products of each level")
MODEL_BYTES = Limit("model bytes", 512 * MEGABYTE, "a model of 1,000 trees has some 10 MB")
ARRAY_BYTES = Limit("array bytes", 4 * GIGABYTE, "13 bands of 500 x 500 pixels at 150 times as float32 take 2 GB")
VECTOR_BYTES = Limit("vector bytes", 2 * GIGABYTE, "labels of a country have some 100 MB")
VECTOR_FEATURES = Limit("vector features", 5_000_000, "labels of a country have some 100,000 polygons")
LISTED_OBJECTS = Limit("listed objects", 2_000_000, "100,000 EOPatches have about a million")
GRID_PIXELS = Limit("grid pixels", 500_000_000, "a tile at 10 m has 121 million")
MOSAIC_PIXELS = Limit("mosaic pixels", 100_000_000_000, "a mosaic of Germany at 10 m has 6 billion")
PATCHES = Limit("patches", 1_000_000, "Germany in patches of 5 km has 15,000")
ANSWER_BYTES = Limit("answer bytes", 64 * MEGABYTE, "a page of 200 STAC items has some MB, one of a bucket half of one")
ANSWER_SECONDS = Limit("answer seconds", 600, "an answer comes within seconds")
SEARCH_PAGES = Limit("search pages", 2_000, "an API is asked for 200 items a page")
SEARCH_ITEMS = Limit("search items", 50_000, "a tile has 150 a year")
SEARCH_BYTES = Limit("search bytes", 1 * GIGABYTE, "an item has some 30 kB")
SEARCH_SECONDS = Limit("search seconds", 3_600, "a search takes some seconds")
ATTEMPTS = Limit("attempts", 10, "tries of one request: with the pauses between them, about half a minute")

REQUESTS = Limit("requests at once", 16, "parts of images are some 20 kB: most of the time of one is waiting")

LIMITS = tuple(value for value in list(globals().values()) if isinstance(value, Limit))
"""All bounds, for the documentation and its test."""
