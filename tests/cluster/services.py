"""Services and EndpointSlices, as their controllers leave them."""


def service(plane, name, ports, *, namespace="default", selector=None, kind="ClusterIP", ingress=(), policy=None, **spec):
    """Makes a Service and gives it as stored. `ports`: {port: target} or a list of ports as in a manifest.

    `kind`: ClusterIP, NodePort or LoadBalancer; `ingress`: the addresses a load balancer's controller gave it;
    `policy`: externalTrafficPolicy.
    """
    if isinstance(ports, dict):
        ports = [{"name": f"p{port}", "port": port, "targetPort": target} for port, target in ports.items()]
    if policy:
        spec["externalTrafficPolicy"] = policy
    path = f"/api/v1/namespaces/{namespace}/services"
    stored = plane.api.create(
        path,
        {
            "metadata": {"name": name},
            "spec": {"type": kind, "selector": selector or {"app": "james"}, "ports": ports, "ipFamilyPolicy": "PreferDualStack", **spec},
        },
    )
    if ingress:
        addresses = [{"ip": address, "ipMode": "VIP"} for address in ingress]
        stored = plane.api.patch(f"{path}/{name}/status", {"status": {"loadBalancer": {"ingress": addresses}}})
    return stored


def endpoint_slices(plane, service, pods, *, ready=True):
    """Makes or renews the EndpointSlices of a Service for these pods, one per family, as the controller names them."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    for family, which in (("IPv4", 0), ("IPv6", 1)):
        endpoints = [
            {
                "addresses": [pod.ips[which]], "conditions": {"ready": ready, "serving": ready, "terminating": False},
                "nodeName": pod.node.name, "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod.name, "uid": pod.uid},
            }
            for pod in pods
        ]  # fmt: skip
        ports = [
            {"name": port.get("name", ""), "port": port["targetPort"], "protocol": port.get("protocol", "TCP")}
            for port in service["spec"]["ports"]
        ]
        made = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family, "endpoints": endpoints, "ports": ports,
            "metadata": {
                "name": f"{name}-{family.lower()}", "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "test"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": name, "uid": service["metadata"]["uid"]}],
            },
        }  # fmt: skip
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{made['metadata']['name']}"
        plane.api.patch(path + "?fieldManager=test&force=true", made, "apply")
