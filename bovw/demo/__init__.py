"""A drawn collection with a known truth, for `bovw demo` and the tests."""
