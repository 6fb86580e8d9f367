"""The commands of the command line, one file per family."""

from bovw.commands import demo, eval, index, maintain, plan, query, serve, show, vocab

# In the order of --help, which sorts by name.
FAMILIES = (vocab, index, maintain, query, eval, show, serve, plan, demo)
