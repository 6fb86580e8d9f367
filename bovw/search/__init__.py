"""Joins the stages for a query."""

from bovw.search.searcher import Searcher as Searcher
