"""Shows by counts that a cluster may lose workers, nodes and replicas; `__main__` says how."""
