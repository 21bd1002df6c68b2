"""Items of a catalogue by what is asked of them in lists of millions: names, times, tiles, places, and their masks.

A file has some three hundred columns, and an object of pystac takes a millisecond and ten kilobytes; of these, a dozen
columns are read, a window of time after the other.
"""
