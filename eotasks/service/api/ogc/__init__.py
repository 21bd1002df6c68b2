"""Endpoints of the Open Geospatial Consortium's interfaces, and those that lie beside them."""
