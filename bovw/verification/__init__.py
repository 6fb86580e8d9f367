"""Stage 6: from a ranking to verified images."""

from bovw.verification.verify import Verified as Verified
from bovw.verification.verify import verify_images as verify_images
