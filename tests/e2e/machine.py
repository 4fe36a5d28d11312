"""A node as clusters have them: containerd, kubelet and kube-proxy, in namespaces of its own."""

import json
import os
import subprocess
from pathlib import Path

from cluster.controlplane import PODS4, PODS6
from cluster.fabric import route
from cluster.node import Node
from harness.daemon import wait_until

from . import cgroups

# What the kubelet would set for the whole machine. It finds its own values and lets them be.
TUNABLES = {
    "vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000,
}  # fmt: skip


class Machine(Node):
    """Node number `number`. Its processes have their own network, mounts, processes, host name, /var and /run.

    It ends with this process: its first process is the init of its PID namespace.
    """

    def __init__(self, plane, number, directory, *, cgroup, images, labels=None, proxy_mode="iptables"):
        super().__init__(plane, number, directory, labels=labels)
        self.cgroup, self.images, self.proxy_mode = f"{cgroup}-{self.name}", images, proxy_mode
        self.disk = self.directory / "var"
        self.pod_logs = self.disk / "log" / "pods"
        self.init = None

    def _connect(self):
        super()._connect()
        # The CNI plugin makes the routes to pods.
        for prefix in (self.pods4, self.pods6):
            route(self.net, "del", "unreachable", prefix)

    def says(self, ready=True):
        """Nothing: its kubelet does."""
        return self.plane.api.get(f"/api/v1/nodes/{self.name}")

    # Its life.

    def start(self):
        """Switches it on. The kubelet starts once the images are there."""
        for path in ("log/pods", "log/containers", "lib/cni", "lib/kubelet", "lib/containerd", "cache", "tmp"):
            (self.disk / path).mkdir(parents=True, exist_ok=True)
        (self.disk / "tmp").chmod(0o1777)
        for link, target in (("run", "/run"), ("lock", "/run/lock")):
            if not (self.disk / link).is_symlink():
                (self.disk / link).symlink_to(target)
        self._configure()
        systems = cgroups.make(self.cgroup)
        script = self.directory / "init.sh"
        script.write_text(self._init(systems))
        with open(self.directory / "init.log", "ab") as log:
            holder = self.net.popen(
                "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", script,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.processes.append(holder)
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        self.init = int(wait_until(lambda: children.read_text().split(), 30, self.told)[0])

    def ready(self):
        """Whether the API server says so."""
        conditions = self.says()["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def told(self, lines=15):
        """The last messages of all that runs here."""
        texts = []
        for log in sorted(self.directory.glob("*.log")):
            texts.append("\n".join([f"{self.name} {log.stem}:", *log.read_text(errors="replace").splitlines()[-lines:]]))
        return "\n".join(texts)

    # Inside.

    def run(self, *command, check=True, **options):
        """A command in all of the node's namespaces; its output as text."""
        inside = ["nsenter", "-t", self.init, "-m", "-u", "-i", "-n", "-p", "--", *command]
        done = subprocess.run([str(word) for word in inside], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
        return done

    def processes_of(self, program):
        """The processes here whose name is `program`, as this process sees them: pid to command line."""
        mounts = os.readlink(f"/proc/{self.init}/ns/pid")
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                if (directory / "comm").read_text().strip() != program:
                    continue
                # A container has a PID namespace below the node's; which node's, its network or its cgroup says.
                group = (directory / "cgroup").read_text()
                if f"/{self.cgroup}/" in group or os.readlink(directory / "ns/pid") == mounts:
                    found[int(directory.name)] = (directory / "cmdline").read_text().replace("\0", " ").strip()
            except OSError:
                continue
        return found

    # What it is started with.

    def _configure(self):
        bridge = {
            "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
            "ipam": {
                "type": "host-local", "ranges": [[{"subnet": self.pods4}], [{"subnet": self.pods6}]],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }  # fmt: skip
        network = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}
        (self.directory / "cni").mkdir(exist_ok=True)
        (self.directory / "cni" / "10-pods.conflist").write_text(json.dumps(network))
        (self.directory / "containerd.toml").write_text(self._containerd())
        certificate, key = self.plane.authority.server(self.name, [f"DNS:{self.name}", f"IP:{self.api4}", f"IP:{self.api6}"])
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "address": "0.0.0.0",
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False}, "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.plane.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"}, "tlsCertFile": str(certificate), "tlsPrivateKeyFile": str(key),
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock", "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}", "failCgroupV1": False, "failSwapOn": False, "oomScoreAdj": 0,
            "clusterDomain": "cluster.local", "resolvConf": "", "volumePluginDir": "/var/lib/kubelet/volumeplugins",
            "nodeStatusUpdateFrequency": "5s", "syncFrequency": "10s",
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        }  # fmt: skip
        (self.directory / "kubelet.json").write_text(json.dumps(kubelet))
        proxy = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.plane.user("system:kube-proxy"))}, "mode": self.proxy_mode,
            "hostnameOverride": self.name, "clusterCIDR": f"{PODS4},{PODS6}", "bindAddress": self.api4,
            "healthzBindAddress": f"{self.api4}:10256", "metricsBindAddress": "127.0.0.1:10249", "oomScoreAdj": 0,
            # The machine's own limits stay.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "nodePortAddresses": ["0.0.0.0/0", "::/0"],
        }  # fmt: skip
        (self.directory / "kube-proxy.json").write_text(json.dumps(proxy))
        for name, value in TUNABLES.items():
            path = self.directory / "tunables" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")

    def _containerd(self):
        version = subprocess.run(["containerd", "--version"], capture_output=True, text=True, check=True).stdout
        if " 2." in version or " v2." in version:
            return f"""version = 3
[plugins.'io.containerd.internal.v1.opt']
  path = "/var/lib/containerd/opt"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{self.directory}/cni"
"""
        return f"""version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{self.directory}/cni"
"""

    def _init(self, systems):
        """The node's first process: it starts what a node's systemd would, again when it ends, and reaps orphans."""
        here, programs = self.directory, self.plane.programs
        enter = "\n".join(f"echo 0 >{system}/cgroup.procs" for system in systems)
        tune = "\n".join(f"mount --bind {here}/tunables/{name} /proc/sys/{name}" for name in TUNABLES)
        images = "\n".join(
            f"ctr -n k8s.io images import {f'--base-name {name} ' if name else ''}{archive}" for archive, name in self.images
        )
        kubeconfig = self._kubelet_kubeconfig()
        return f"""set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
mount --bind {self.disk} /var
mount --make-rshared /
{tune}
hostname {self.name}
{enter}
keep() {{
  local name=$1; shift
  while :; do
    "$@" >>{here}/$name.log 2>&1 </dev/null || :
    echo "$name ended, starts again" >&2
    sleep 1
  done &
}}
keep containerd containerd -c {here}/containerd.toml
for try in $(seq 1 300); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
{images}
keep kubelet {programs["kubelet"]} --config={here}/kubelet.json --kubeconfig={kubeconfig} --hostname-override={self.name} \\
  --node-ip={self.api4},{self.api6}
keep kube-proxy {programs["kube-proxy"]} --config={here}/kube-proxy.json
while :; do wait; sleep 1; done
"""

    def _kubelet_kubeconfig(self):
        """Who the kubelet is."""
        return self.plane.user(f"system:node:{self.name}", "system:nodes")
