from .cloud_detector import S2PixelCloudDetector as S2PixelCloudDetector
from .pixel_classifier import PixelClassifier as PixelClassifier
from .utils import download_bands_and_valid_data_mask as download_bands_and_valid_data_mask

__version__: str
