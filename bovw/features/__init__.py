"""Stage 2: the local features of a picture."""

from bovw.features.describer import Describer as Describer
from bovw.features.describer import describer_of as describer_of
