"""Stage 6: from a ranking to verified images."""

from bovw.verification.calibration import PAIR as PAIR
from bovw.verification.calibration import Calibration as Calibration
from bovw.verification.evidence import LEAST as LEAST
from bovw.verification.evidence import THICKNESS as THICKNESS
from bovw.verification.evidence import Evidence as Evidence
from bovw.verification.evidence import needed_inliers as needed_inliers
from bovw.verification.judgement import Judged as Judged
from bovw.verification.judgement import judge as judge
from bovw.verification.judgement import judge_alarms as judge_alarms
from bovw.verification.matches import Matches as Matches
from bovw.verification.matches import tentative_matches as tentative_matches
from bovw.verification.verify import Examined as Examined
from bovw.verification.verify import Verified as Verified
from bovw.verification.verify import examine as examine
from bovw.verification.verify import verify_images as verify_images
from bovw.verification.verify import verify_matches as verify_matches
