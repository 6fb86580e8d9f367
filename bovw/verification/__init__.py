"""Stage 6: from a ranking to verified images."""

from bovw.verification.evidence import STRONG as STRONG
from bovw.verification.evidence import Certainty as Certainty
from bovw.verification.evidence import Evidence as Evidence
from bovw.verification.evidence import certainty as certainty
from bovw.verification.matches import Matches as Matches
from bovw.verification.verify import Verified as Verified
from bovw.verification.verify import verify_images as verify_images
from bovw.verification.verify import verify_matches as verify_matches
