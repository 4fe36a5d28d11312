"""What etcd holds, asked of etcd itself."""

import base64
import http.client
import json

PORT = 2379


class Storage:
    """The etcd of a control plane, over its own JSON gateway."""

    def __init__(self, plane):
        self.plane = plane

    def _ask(self, path, **question):
        with self.plane.net.inside():
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
            connection.connect()
        try:
            connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def size(self):
        """(bytes of the file, bytes of it in use): old revisions stay until the API server has them compacted."""
        status = self._ask("/v3/maintenance/status")
        return int(status["dbSize"]), int(status["dbSizeInUse"])

    def held(self, prefix, page=500):
        """(keys, bytes of keys and values) under a prefix, the present revision of each alone."""
        first, after = prefix.encode(), prefix[:-1].encode() + bytes([ord(prefix[-1]) + 1])
        keys = size = 0
        while True:
            answer = self._ask("/v3/kv/range", key=_text(first), range_end=_text(after), limit=page)
            found = answer.get("kvs", [])
            keys += len(found)
            size += sum(_length(kv["key"]) + _length(kv.get("value", "")) for kv in found)
            if not answer.get("more"):
                return keys, size
            first = base64.b64decode(found[-1]["key"]) + b"\0"


def _text(key):
    return base64.b64encode(key).decode()


def _length(text):
    """Bytes of what a base64 text means."""
    return len(text) // 4 * 3 - text[-2:].count("=")
