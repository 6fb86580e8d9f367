"""Search results and evaluations as self-contained HTML files."""

from bovw.report.answers import Asked as Asked
from bovw.report.answers import answer_page as answer_page
from bovw.report.answers import with_points as with_points
from bovw.report.evaluation import evaluation_page as evaluation_page
