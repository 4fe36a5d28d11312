# What holds a pod's namespaces open. Kubernetes' own image lies in a registry.
FROM scratch
COPY catatonit /pause
ENTRYPOINT ["/pause", "-P"]
