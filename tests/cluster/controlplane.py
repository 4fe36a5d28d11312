"""etcd and kube-apiserver, with the authorization and the admission a cluster has, in a network namespace."""

import base64
import contextlib
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness.daemon import wait_until

from .api import Api, Refused
from .authority import Authority, embedded

SERVICES4, SERVICES6 = "10.96.0.0/16", "fd00:10::/112"
PODS4, PODS6 = "10.88.0.0/16", "fd00:88::/48"
PORT = 6443


class ControlPlane:
    """One control plane: start it, take it away, empty its storage, ask it.

    `fabric.control` is the network namespace it runs in; nodes reach it at `fabric.API4` and `fabric.API6`.
    With `controllers` a kube-controller-manager runs beside it. Without one nothing is collected by ownerReferences, no
    namespace ends, no EndpointSlice is made, and the ClusterRoles view, edit and admin are empty. With `kubelets`, nodes
    have real ones: a kube-scheduler gives them pods, and a node whose kubelet falls silent becomes unready.
    """

    def __init__(self, directory, programs, fabric, *, controllers=False, kubelets=False, arguments=()):
        self.directory, self.programs, self.fabric, self.net = Path(directory), programs, fabric, fabric.control
        self.controllers, self.kubelets, self.arguments = controllers, kubelets, list(arguments)
        self.logs = self.directory / "log"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(self.directory / "pki")
        # There is no DNS: it is known by its addresses.
        self.serving = self.authority.server(
            "kube-apiserver",
            ["DNS:localhost", "DNS:kubernetes.default.svc", "IP:127.0.0.1", "IP:10.96.0.1", f"IP:{fabric.API4}", f"IP:{fabric.API6}"],
        )
        # Who asked for what.
        self.audit = self.directory / "audit.log"
        self.audit_policy = self.directory / "audit.json"
        policy = {"rules": [{"level": "Metadata", "omitStages": ["RequestReceived"]}]}
        self.audit_policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **policy}))
        self.kubelet_client = self.authority.user("apiserver-kubelet-client", ["system:masters"])
        self.url = f"https://{fabric.API4}:{PORT}"
        admin = self.authority.user("admin", ["system:masters"])
        self.admin = self._kubeconfig_of("admin", admin)
        self.api = Api(self.net, fabric.API4, PORT, self.authority.certificate, certificate=admin)
        self.processes = {}

    # Its life.

    def start(self, timeout=180.0):
        """Starts what does not run and waits until it is ready; gives the seconds that took."""
        began = time.monotonic()
        self._etcd()
        self._apiserver()
        wait_until(self._ready, timeout, self.why)
        if self.controllers:
            self._controller_manager()
        if self.kubelets:
            self._scheduler()
        self.namespace("default", new=False)
        return time.monotonic() - began

    def stop(self):
        """Ends everything at once: nothing of a test's cluster needs a graceful end."""
        for name in list(self.processes):
            self._kill(name)

    def restart(self):
        """The API server and what hangs on it, anew; its storage stays."""
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver"):
            self._kill(name)
        self.start()

    @contextlib.contextmanager
    def frozen(self):
        """Meanwhile it accepts connections and answers nothing, as an overloaded one does."""
        process = self.processes["kube-apiserver"]
        process.send_signal(signal.SIGSTOP)
        # Each thread stops when it next comes by the kernel.
        wait_until(lambda: threads(process.pid) == {"T"}, 30)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def down(self):
        """Meanwhile nobody listens: connections are refused. It comes back with its storage."""
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver"):
            self._kill(name)
        try:
            yield
        finally:
            self.start()

    def empty(self):
        """Comes back with nothing in its storage. Service accounts are gone, and with them every token."""
        self.stop()
        shutil.rmtree(self.directory / "etcd")
        self.start()

    def backup(self):
        """A copy of the storage as it is, for `restore`. The API server is away meanwhile."""
        copy = self.directory / "etcd-backup"
        self.stop()
        shutil.copytree(self.directory / "etcd", copy)
        self.start()
        return copy

    def restore(self, copy):
        """Comes back with the storage as it was. The API server ends its watches in good order before."""
        server = self.processes.pop("kube-apiserver")
        server.terminate()
        server.wait(120)
        self.stop()
        shutil.rmtree(self.directory / "etcd")
        shutil.copytree(copy, self.directory / "etcd")
        self.start()

    def erase(self, key):
        """Takes an object out of the storage while no API server runs: nobody is told that it went."""
        body = json.dumps({"key": base64.b64encode(key.encode()).decode()})
        answer = json.loads(self.net.run("curl", "-sf", "http://127.0.0.1:2379/v3/kv/deleterange", "-d", body).stdout)
        if answer.get("deleted") != "1":
            raise RuntimeError(f"{key}: {answer}")

    # Questions and orders.

    def kubectl(self, *arguments, check=True, kubeconfig=None, **options):
        """kubectl as the administrator, or with another kubeconfig; output as text."""
        command = [self.programs["kubectl"], "--kubeconfig", kubeconfig or self.admin, "--cache-dir", self.directory / "discovery"]
        return self.net.run(*command, *arguments, check=check, **options)

    def json(self, *arguments, **options):
        return json.loads(self.kubectl(*arguments, "-o", "json", **options).stdout)

    def apply(self, manifest, *arguments, **options):
        """Server-side apply of an object, several objects, or YAML text."""
        if not isinstance(manifest, str):
            items = manifest if isinstance(manifest, list) else [manifest]
            manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        return self.kubectl("apply", "--server-side", "--force-conflicts", *arguments, "-f", "-", input=manifest, **options)

    def namespace(self, name, new=True):
        """A namespace of Kubernetes with the account that pods need."""
        with contextlib.nullcontext() if new else contextlib.suppress(Refused):
            self.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        self.service_account("default", name)
        return name

    def service_account(self, name, namespace):
        """A service account, made where it is missing."""
        try:
            self.api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
        except Refused as why:
            if why.status != 409:
                raise

    # Identities.

    def user(self, name, *groups):
        """A kubeconfig of a person or machine with a client certificate."""
        return self._kubeconfig_of(name, self.authority.user(name, groups))

    def token(self, account, namespace, bound_to=None, seconds=3600):
        """A token of a service account, as the kubelet asks for it: bound to a Node or Pod object where one is given.

        Of both, the API server writes the node's name into it: `authentication.kubernetes.io/node-name`.
        """
        spec = {"expirationSeconds": seconds}
        if bound_to:
            metadata = bound_to["metadata"]
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": bound_to["kind"], "name": metadata["name"], "uid": metadata["uid"]}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return self.api.create(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})["status"]["token"]

    def account(self, path, account, namespace, bound_to=None):
        """A kubeconfig of a service account. Its token stands in a file beside it, as the kubelet keeps it: called
        again, this renews it."""
        path = Path(path)
        token = path.with_suffix(".token")
        fresh = path.with_suffix(".fresh")
        fresh.write_text(self.token(account, namespace, bound_to))
        fresh.chmod(0o600)
        fresh.rename(token)
        return self.authority.kubeconfig(path, self.url, tokenFile=str(token))

    def as_account(self, account, namespace, bound_to=None):
        """Requests of a service account."""
        return Api(self.net, self.fabric.API4, PORT, self.authority.certificate, token=self.token(account, namespace, bound_to))

    def audited(self, group="gaoler.dev"):
        """Every request for objects of a group, in their order: user, verb, object (`plural/name`; no name in creations), status, the whole."""
        found = []
        for line in self.audit.read_text().splitlines():
            event = json.loads(line)
            about = event.get("objectRef", {})
            if "resource" in about and about.get("apiGroup", "") == group:
                name = f"{about['resource']}/{'' if event['verb'] == 'create' else about.get('name', '')}"
                found.append((event["user"]["username"], event["verb"], name, event.get("responseStatus", {}).get("code"), event))
        return found

    def why(self, lines=15):
        """The last messages of every process."""
        texts = []
        for name, process in self.processes.items():
            text = (self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines:]
            texts.append("\n".join([f"{name} ({process.poll()}):", *text]))
        return "\n".join(texts)

    # The processes.

    def _ready(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}\n{self.why()}")
        try:
            return self.api.get("/readyz") == "ok"
        except (OSError, Refused):
            time.sleep(0.1)
            return False

    def _run(self, name, *arguments):
        if name in self.processes:
            return
        with open(self.logs / f"{name}.log", "ab") as log:
            self.processes[name] = self.net.popen(self.programs[name], *arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _kill(self, name):
        if process := self.processes.pop(name, None):
            process.kill()
            process.wait()

    def _etcd(self):
        self._run(
            "etcd", "--data-dir", self.directory / "etcd", "--log-level", "error", "--unsafe-no-fsync",
            "--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
            "--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
            "--initial-cluster", "default=http://127.0.0.1:2380",
        )  # fmt: skip

    def _apiserver(self):
        certificate, key = self.serving
        self._run(
            "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--advertise-address={self.fabric.API4}", f"--secure-port={PORT}",
            f"--client-ca-file={self.authority.certificate}", f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}",
            f"--service-account-key-file={self.authority.token_public}", f"--service-account-signing-key-file={self.authority.token_key}",
            "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction,ValidatingAdmissionPolicy", "--allow-privileged=true",
            f"--service-cluster-ip-range={SERVICES4},{SERVICES6}", f"--kubelet-client-certificate={self.kubelet_client[0]}",
            f"--kubelet-client-key={self.kubelet_client[1]}", f"--audit-log-path={self.audit}",
            f"--audit-policy-file={self.audit_policy}", *self.arguments,
        )  # fmt: skip

    def _scheduler(self):
        config = self._kubeconfig_of("scheduler", self.authority.user("system:kube-scheduler"))
        self._run(
            "kube-scheduler", f"--kubeconfig={config}", f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1", "--leader-elect=false",
        )  # fmt: skip

    def _controller_manager(self):
        config = self._kubeconfig_of("kcm", self.authority.user("system:kube-controller-manager"))
        # Without kubelets nobody beats: nodes say themselves whether they are ready.
        which = [] if self.kubelets else ["--controllers=*,-node-lifecycle-controller,-taint-eviction-controller"]
        self._run(
            "kube-controller-manager", f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}", "--bind-address=127.0.0.1", "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.authority.token_key}", f"--root-ca-file={self.authority.certificate}",
            f"--cluster-cidr={PODS4},{PODS6}", f"--service-cluster-ip-range={SERVICES4},{SERVICES6}", "--leader-elect=false",
            *which,
            f"--cluster-signing-cert-file={self.authority.certificate}", f"--cluster-signing-key-file={self.authority.key}",
            # By default it makes one in /usr.
            f"--flex-volume-plugin-dir={self.directory / 'flex'}",
        )  # fmt: skip

    def _kubeconfig_of(self, name, pair):
        certificate, key = map(embedded, pair)
        path = self.directory / f"{name.replace(':', '-').replace('/', '-')}.kubeconfig"
        return self.authority.kubeconfig(path, self.url, **{"client-certificate-data": certificate, "client-key-data": key})


def threads(pid):
    """The states of all threads of a process, as letters."""
    return {path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")}
