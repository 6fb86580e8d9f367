"""The counts of each part, and which of them must be 0."""

from __future__ import annotations

from typing import Any

# Counts that must be 0 in every part.
NEVER = (
    "images_lost", "strangers", "half_done", "failed_runs", "failed_checks", "locks_left",
    "failed_next_runs", "leftovers", "workers_left", "hung",
    "absent", "crashes", "read_again", "wrong_answers", "errors",
    "states_never_committed", "not_told_to_wait", "not_let_in", "crashed", "missed_in_content",
    "sealed", "not_brought_back", "unguarded", "outside_read", "outside_changed", "strangers_lost",
    "lost", "refused_reruns", "left_over", "aborts", "hangs", "over_1_gb", "unexpected", "no_json",
    "doubles", "ghosts", "not_indexed", "unstable", "changed_by_refusal", "not_found",
    "not_answered", "service_ended", "tracebacks", "pictures_refused", "stale_answers",
)  # fmt: skip

Counts = dict[str, Any]
