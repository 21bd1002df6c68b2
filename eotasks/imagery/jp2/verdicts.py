"""What is found of a file that is not read by its packets: another layout, or one that contradicts itself."""

from __future__ import annotations


class OtherLayout(Exception):  # noqa: N818 - no error: GDAL reads such files
    """The file is laid out in a way that is not read here.

    :param reason: Which, for the middle of a sentence.
    """


class ContradictionError(Exception):
    """What the file says of itself cannot be so: it is damaged, or lies. Never leaves the package:
    `eotasks.imagery.jp2.index` makes an `ImageryError` of it.

    :param reason: What, for the middle of a sentence.
    """
