from .columns import BLUEDOT_COLUMNS as BLUEDOT_COLUMNS
from .columns import COLUMNS as COLUMNS
from .columns import with_bluedot_names as with_bluedot_names
from .outlines import read_outlines as read_outlines
from .task import WaterLevelTask as WaterLevelTask
