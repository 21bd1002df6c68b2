"""Cloud shadows: two methods, from a cloud mask and the angles of the sun and the sensor."""

from __future__ import annotations
