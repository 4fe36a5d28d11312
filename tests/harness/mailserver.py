"""TCP listeners that stand for James and sshd, and clients that knock on them."""

import contextlib
import errno
import select
import socket
import threading
import time

from .world import in_thread

MAIL_PORTS = (25, 110, 143, 465, 587, 993)
SSH_PORT = 22


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Mailserver:
    """Listens on all ports, greets, echoes lines, and remembers which came from whom."""

    def __init__(self, namespace, address, ports=(SSH_PORT, *MAIL_PORTS)):
        self.heard = {}
        self._lock = threading.Lock()
        self.sockets = []
        with namespace.inside():
            for port in ports:
                listener = socket.create_server((address, port), family=family_of(address), backlog=128)
                self.sockets.append(listener)
        for listener in self.sockets:
            in_thread(self._accept, listener)

    def _accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            in_thread(self._serve, connection, peer[0])

    def _serve(self, connection, peer):
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"220 mail.example ready\r\n")
            while data := connection.recv(4096):
                with self._lock:
                    self.heard.setdefault(peer, []).append(data)
                connection.sendall(data)

    def lines_from(self, peer):
        """All bytes that arrived from `peer`."""
        with self._lock:
            return b"".join(self.heard.get(peer, []))


class Client:
    """One address on the internet."""

    def __init__(self, namespace, address, server):
        self.namespace, self.address, self.server = namespace, address, server

    def connect(self, port, timeout=3.0):
        """An open connection after its greeting, or None when nothing came back within `timeout` seconds."""
        return self.connect_many([port], timeout)[port]

    def connect_many(self, ports, timeout=3.0):
        """The same for several ports at once: port to connection or None."""
        found = {}
        pending = {}
        with self.namespace.inside():
            for port in ports:
                s = socket.socket(family_of(self.address))
                s.setblocking(False)
                s.bind((self.address, 0))
                code = s.connect_ex((self.server, port))
                if code in (0, errno.EINPROGRESS):
                    pending[s] = port
                else:
                    s.close()
                    found[port] = None
        end = time.monotonic() + timeout
        while pending and (left := end - time.monotonic()) > 0:
            for s in select.select(list(pending), [], [], left)[0]:
                port = pending.pop(s)
                try:
                    greeted = s.recv(64)
                except OSError:
                    greeted = b""
                s.settimeout(timeout)
                found[port] = s if greeted else None
        for s, port in pending.items():
            s.close()
            found[port] = None
        return found

    def reaches(self, ports, timeout=3.0):
        """The ports that answered."""
        connections = self.connect_many(ports, timeout)
        for connection in connections.values():
            if connection:
                connection.close()
        return sorted(port for port, connection in connections.items() if connection)


def talks(connection, text, timeout=3.0):
    """Whether the server echoes `text` over an open connection."""
    connection.settimeout(timeout)
    try:
        connection.sendall(text)
        return connection.recv(len(text)) == text
    except OSError:
        return False
