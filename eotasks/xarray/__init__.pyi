from .datasets import to_xarray as to_xarray
from .eopatches import from_xarray as from_xarray
from .masks import cloud_mask as cloud_mask
from .probability import cloud_probability as cloud_probability
from .shadows import cloud_shadow as cloud_shadow
from .validity import valid_data as valid_data
