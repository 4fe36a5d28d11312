"""A load balancer before the API server: while that is replaced, who asks waits and is not refused."""

import contextlib
import socket
import threading


class Forwarder:
    """Passes connections to `host`:`port` on to another port there, each with a pair of threads."""

    def __init__(self, net, host, port, target):
        self.net, self.host, self.port, self.target = net, host, port, target
        self.open = threading.Event()
        self.open.set()
        with net.inside():
            self.listener = socket.create_server((host, port))
        self._thread(self._accept)

    def hold(self):
        """New connections are taken and wait."""
        self.open.clear()

    def release(self):
        self.open.set()

    def close(self):
        self.listener.close()

    @staticmethod
    def _thread(target, *arguments):
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._thread(self._serve, self.listener.accept()[0])

    def _serve(self, near):
        self.open.wait()
        try:
            with self.net.inside():
                far = socket.create_connection((self.host, self.target))
        except OSError:
            near.close()
            return
        self._thread(self._pipe, far, near)
        self._pipe(near, far)

    @staticmethod
    def _pipe(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
