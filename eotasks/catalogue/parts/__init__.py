"""A catalogue as a folder of GeoParquet files by time, for archives of millions of products.

- ``part-….parquet``: items, whole as in a catalogue of one file; never changed once they are written (`writing`);
- ``_ids-….bin``: digests of the ids of one of them, so that an addition need not read it (`ids`);
- ``_manifest.json``: which files are the catalogue, with the times and the place of each, exchanged in one operation
  (`manifest`). What is not in it does not count: readers see the catalogue before an addition, or after it.

An addition writes its items as a small new part; of many small ones larger ones are made now and then, and ``eotasks
catalogue compact`` (`compaction`) puts all in order of time.
"""
