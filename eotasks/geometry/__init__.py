"""Geometries that come from outside, brought to one form before they are stored, compared or split.

The form: WGS 84, longitude first, longitudes from -180 to 180, cut at the antimeridian (RFC 7946), nothing beyond the
poles. `antimeridian` brings degrees to it, `degrees` other coordinate systems; `systems` recognises coordinate systems
by what they are and says what their metres are on the ground; `repair` mends rings that cross themselves.
"""
