"""``python -m eotasks.models.clouds.weights WHEEL``: weights of the multi-temporal model, from the published wheel."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from eotasks.durable import atomic_path
from eotasks.errors import EOTasksError
from eotasks.models.clouds.weights import MULTI_TEMPORAL_FILE, MULTI_TEMPORAL_SHA256
from eotasks.models.clouds.weights.origin import WHEEL, model_text
from eotasks.models.forest import Forest


def main(arguments: list[str] | None = None) -> int:
    """Write the file of the weights and say its checksum.

    :return: 0 when it is the file that is shipped, 1 when the engine's form has changed, 2 for a wheel that is not the
        published one.
    """
    parser = argparse.ArgumentParser(
        prog="python -m eotasks.models.clouds.weights",
        description="Make the weights of the multi-temporal cloud model anew from the published wheel.",
        epilog="Example: pip download --no-deps eo-learn-mask==1.4.2 && python -m eotasks.models.clouds.weights "
        + WHEEL,
    )
    parser.add_argument("wheel", type=Path, metavar="WHEEL", help=f"{WHEEL}, as pip downloads it")
    parser.add_argument("--out", type=Path, default=MULTI_TEMPORAL_FILE, metavar="FILE", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        content = Forest.from_text(model_text(options.wheel)).to_bytes()
    except EOTasksError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    with atomic_path(options.out) as temporary:
        temporary.write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    as_shipped = checksum == MULTI_TEMPORAL_SHA256
    verdict = "as shipped" if as_shipped else f"NOT the file that was shipped ({MULTI_TEMPORAL_SHA256})"
    sys.stdout.write(f"{options.out}: {len(content)} bytes, sha256 {checksum}, {verdict}\n")
    return 0 if as_shipped else 1


if __name__ == "__main__":
    sys.exit(main())
