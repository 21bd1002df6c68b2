"""Each read has a bound, told with its variable: files, pixels, arrays, catalogues, and servers that lie."""
