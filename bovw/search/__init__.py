"""Joins the stages for a query."""

from bovw.search.explain import Explanation as Explanation
from bovw.search.explain import explain as explain
from bovw.search.query import describe_query as describe_query
from bovw.search.question import MOST_POSTINGS as MOST_POSTINGS
from bovw.search.question import Backend as Backend
from bovw.search.question import LocalQuestion as LocalQuestion
from bovw.search.question import Question as Question
from bovw.search.question import limit_postings as limit_postings
from bovw.search.question import rank_images as rank_images
from bovw.search.searcher import Found as Found
from bovw.search.searcher import Searcher as Searcher
