from .grid_file import read_patch_grid as read_patch_grid
from .grid_file import save_patch_grid as save_patch_grid
from .patches import Patch as Patch
from .polygons import GridName as GridName
from .polygons import read_area as read_area
from .splitting import select_block as select_block
from .splitting import split_area as split_area
