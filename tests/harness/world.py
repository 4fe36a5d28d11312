"""A private world: network namespaces that nobody else sees and that vanish with this process.

Nothing is ever made in the machine's own network namespace. `enter()` moves this process into a namespace of its own
first (with `unshare`, as a mapped root where it is not root), so that even a mistake cannot touch the host's rules.
Namespaces have no names: they are file descriptors, and the kernel takes them down when the last one closes,
whatever ends this process.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
import threading

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_MARK = "GAOLER_TEST_WORLD"


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter():
    """Re-executes this program in network and mount namespaces of its own, once."""
    if os.environ.get(_MARK):
        return
    os.environ[_MARK] = "1"
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *user, "--net", "--mount", "--propagation", "private"]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        sys.exit(
            f"cannot make a private network namespace: {probe.stderr.strip()}\n"
            "Run as root, or allow unprivileged user namespaces "
            "(sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)."
        )
    sys.stdout.flush()
    os.execvp(command[0], [*command, sys.executable, *sys.argv])


class Namespace:
    """One network namespace, held by its descriptor."""

    def __init__(self):
        with _own_namespace_kept():
            _check(_libc.unshare(CLONE_NEWNET), "unshare")
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.path = f"/proc/{os.getpid()}/fd/{self.fd}"
        self.run("ip", "link", "set", "lo", "up")

    def close(self):
        """The namespace ends with the last process and the last cable in it."""
        os.close(self.fd)

    @contextlib.contextmanager
    def inside(self):
        """Sockets made in this block belong to the namespace."""
        with _own_namespace_kept():
            _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
            yield

    def popen(self, *command, **options):
        """A child inside. It ends with this process."""
        return subprocess.Popen([str(c) for c in command], preexec_fn=self._join, **options)

    def run(self, *command, check=True, **options):
        """A child inside, waited for; its output as text."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        done = subprocess.run([str(c) for c in command], preexec_fn=self._join, text=True, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr or ''}")
        return done

    def _join(self):
        _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
        end_with_parent()


def end_with_parent():
    """In a child: the kernel ends it when the thread that started it ends."""
    _libc.prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL


@contextlib.contextmanager
def _own_namespace_kept():
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _check(_libc.setns(home, CLONE_NEWNET), "setns")
        os.close(home)


class World:
    """A host and the internet around it, joined by one cable.

    The internet owns any number of addresses; the host has one of its own and sends everything back over the cable.
    """

    HOST4, HOST6 = "192.0.2.25", "2001:db8:25::25"

    def __init__(self, remote=()):
        self.host, self.internet = Namespace(), Namespace()
        self.host.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wan0", "netns", self.internet.path)
        self._ip(self.host, "addr add", f"{self.HOST4}/24", "dev eth0")
        self._ip(self.host, "addr add", f"{self.HOST6}/64", "dev eth0 nodad")
        self._ip(self.host, "link set", "eth0", "up")
        self._ip(self.internet, "link set", "wan0", "up")
        self._ip(self.internet, "addr add", "192.0.2.1/24", "dev wan0")
        self._ip(self.internet, "addr add", "2001:db8:25::1/64", "dev wan0 nodad")
        self._ip(self.host, "route add", "default", "via 192.0.2.1")
        self._ip(self.host, "route add", "default", "via 2001:db8:25::1")
        for address in remote:
            self.give(address)

    def give(self, address):
        """Lets the internet own `address`."""
        bits, flags = ("128", "nodad") if ":" in address else ("32", "")
        self._ip(self.internet, "addr add", f"{address}/{bits}", f"dev wan0 {flags}")

    def own_all(self, prefix):
        """Lets the internet own every address of `prefix`, without listing them."""
        self._ip(self.internet, "route add local", prefix, "dev wan0")
        if ":" in prefix:
            # IPv6 binds to a route's addresses only when told.
            self.internet.run("sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1")

    @staticmethod
    def _ip(namespace, verb, what, rest):
        family = ["-6"] if ":" in what or (":" in rest and "via" in rest) else []
        namespace.run("ip", *family, *verb.split(), what, *rest.split())


def in_thread(target, *arguments):
    """A daemon thread that runs `target`."""
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread
