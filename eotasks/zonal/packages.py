"""The optional packages of field statistics, imported when they are needed."""

from __future__ import annotations

from eotasks.extras import OptionalPackages

_PACKAGES = OptionalPackages("zonal", "Field statistics need")
package, require = _PACKAGES.package, _PACKAGES.require
