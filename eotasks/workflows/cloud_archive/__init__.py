"""An archive of cloud masks: CLP, CLM and SHADOW of every product of a source, made once, kept whole.

PLACE/ (a folder or ``s3://bucket/prefix``) holds

- ``archive.json``: what its masks are made with (`settings`);
- ``masks/TILE/YEAR/NAME/``: one COG each and, written last, a STAC item with sizes and checksums (`files`, `item`);
- ``catalogue.parquet``: the products' items, L1C and L2A, with CLP and CLM among their assets (`cataloguing`);
- ``manifest.jsonl`` or ``batch/``: what was done, of `eotasks.workflows.batch`.

The way of the data, and nothing goes back: source -> products to mask, siblings, what is left out and why (`source`)
-> one batch, each product a patch, whose workflow is one task (`task`) in warm workers -> files of the product ->
catalogue, a portion at a time (`cataloguing`), all under one lease (`build`). `status` reads the manifest, `verify`
the files, `repair` does what `verify` found. Reading in EOPatches is `eotasks.sources.archive`.
"""

from __future__ import annotations
