"""A real API server with etcd, nodes in network namespaces of their own, logs as a container runtime writes them."""
