"""Stage 4: the inverted file on disk."""

from bovw.index.building import SegmentBuilder as SegmentBuilder
from bovw.index.building import StoredSegment as StoredSegment
from bovw.index.catalog import ImageRow as ImageRow
from bovw.index.catalog import read_meta as read_meta
from bovw.index.checksums import damaged_among as damaged_among
from bovw.index.checksums import vocabulary_files as vocabulary_files
from bovw.index.editing import edit_index as edit_index
from bovw.index.editing import joining as joining
from bovw.index.graph import Graph as Graph
from bovw.index.index import Index as Index
from bovw.index.joined import join_shards as join_shards
from bovw.index.layout import INCOMING as INCOMING
from bovw.index.layout import check_free as check_free
from bovw.index.manifest import create_shards as create_shards
from bovw.index.manifest import forget_joined as forget_joined
from bovw.index.manifest import is_index as is_index
from bovw.index.manifest import parts_of as parts_of
from bovw.index.manifest import read_any_meta as read_any_meta
from bovw.index.manifest import read_manifest as read_manifest
from bovw.index.manifest import shard_names as shard_names
from bovw.index.manifest import shard_of as shard_of
from bovw.index.merging import SEGMENT_FEATURES as SEGMENT_FEATURES
from bovw.index.segment import Segment as Segment
from bovw.index.segment import postings_of as postings_of
from bovw.index.statistics import Statistics as Statistics
from bovw.index.writer import IndexWriter as IndexWriter
