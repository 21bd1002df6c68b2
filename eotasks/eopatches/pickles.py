"""EOPatches of old releases of eo-learn, whose bounding box, times and meta information are pickles.

They are named, and not read: reading a pickle runs whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable

from eotasks.errors import StorageError

_ENDINGS = (".pkl", ".pkl.gz", ".pickle", ".pickle.gz")
_NAMED = 3


def refuse_pickles(paths: Iterable[str], where: str) -> None:
    """Refuse an EOPatch that has pickles among the files that are wanted.

    :param paths: Relative paths.
    :param where: What the EOPatch is, for the message.
    :raises StorageError: naming some of them, and the way to files that can be read.
    """
    pickles = sorted(path for path in paths if path.endswith(_ENDINGS))
    if pickles:
        more = f" and {len(pickles) - _NAMED} more" if len(pickles) > _NAMED else ""
        raise StorageError(
            f"{where}: {', '.join(pickles[:_NAMED])}{more}: an EOPatch of eo-learn before 1.0, which kept these as"
            " pickles. They are never read here, since a pickle runs code: if you trust who wrote it, load it with"
            " eo-learn 1.0 to 1.2.1 in an environment of its own and save it anew (EOPatch.load(old).save(new)), which"
            " writes bbox.geojson and timestamps.json."
        )
