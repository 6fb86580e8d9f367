"""Stage 5: from postings to a ranking of all images."""

from bovw.ranking.tfidf import score_tfidf

# How the command line calls them.
SCORINGS = {"tfidf": score_tfidf}
