"""Stage 7: answers written as a table, JSON, CSV, paths, or a TREC run."""

from bovw.results.files import check_output as check_output
from bovw.results.files import write_output as write_output
from bovw.results.formats import WRITERS as WRITERS
from bovw.results.formats import Answer as Answer
from bovw.results.formats import Writer as Writer
from bovw.results.formats import as_trec as as_trec
from bovw.results.formats import often as often
