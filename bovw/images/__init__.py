"""Stage 1: images found on disk and decoded upright."""

from bovw.images.decode import MAX_PIXELS as MAX_PIXELS
from bovw.images.decode import MIN_SIDE as MIN_SIDE
from bovw.images.decode import read_picture as read_picture
from bovw.images.decode import reduce_pixels as reduce_pixels
from bovw.images.find import SUFFIXES as SUFFIXES
from bovw.images.find import ImageFile as ImageFile
from bovw.images.find import find_images as find_images
from bovw.images.find import outermost as outermost
from bovw.images.find import real_path as real_path
from bovw.images.find import sha256 as sha256
from bovw.images.find import size_and_time as size_and_time
from bovw.images.find import two_named as two_named
from bovw.images.region import check_region as check_region
from bovw.images.region import region_box as region_box
from bovw.images.sources import ImageSource as ImageSource
from bovw.images.sources import picture_of as picture_of
