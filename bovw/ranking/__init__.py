"""Stage 5: from postings to a ranking of all images."""

from bovw.ranking.asmk import score_asmk
from bovw.ranking.hamming import score_hamming
from bovw.ranking.tfidf import score_tfidf

# By their names on the command line.
SCORINGS = {"tfidf": score_tfidf, "hamming": score_hamming, "asmk": score_asmk}
