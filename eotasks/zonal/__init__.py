"""Statistics of polygons over images: which part of each pixel lies in a polygon, what its pixels say, date by date."""
