from .account import load_credentials as load_credentials
from .download import DownloadBandsTask as DownloadBandsTask
from .plan import MAX_PIXELS as MAX_PIXELS
from .plan import RequestPlan as RequestPlan
from .plan import request_plan as request_plan
from .statistics import DownloadStatisticsTask as DownloadStatisticsTask
