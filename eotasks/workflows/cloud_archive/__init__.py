"""An archive of cloud masks: CLP, CLM and SHADOW of every product of a source, made once, kept whole.

PLACE/ (a folder or ``s3://bucket/prefix``) holds

- ``archive.json``: what its masks are made with (`settings`);
- ``masks/TILE/YEAR/NAME/``: one COG each and, written last, a STAC item with sizes and checksums (`files`, `item`);
- ``catalogue.parquet/``: the products' items, L1C and L2A, with CLP and CLM among their assets (`cataloguing`), and of
  each what its masks were made of, by which a builder knows what is done (`done`);
- ``manifest.jsonl`` or ``batch/``: what the last batches did, of `eotasks.workflows.batch`; ``build.json``: how far a
  build of several batches is; ``anew.json``: that masks are being made anew (`totals`).

The way of the data, and nothing goes back: source -> products to mask, siblings, what is left out and why (`source`),
a window of time after the other (`windows`) -> a batch of some thousand, each product a patch, whose workflow is one
task (`task`) in warm workers -> files of the product -> catalogue, a portion at a time (`cataloguing`), all under one
lease (`build`). `whole/status` reads the manifest, `whole/verify` the files, `whole/repair` does what that found;
`exporting` shows it to the world. Reading in EOPatches is `eotasks.sources.archive`.
"""

from __future__ import annotations
