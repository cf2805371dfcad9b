"""A plain NATS client that appends as store/FORMAT.md says: a record of one event for each line "ACTOR TEXT" of its input.

    append.py PORT NAMESPACE [SEQUENCE]

SEQUENCE: expect that one, whatever is there. What the server refuses is printed, and the exit code is 1.
"""
import base64
import ctypes
import json
import socket
import sys
import time
import urllib.parse
import uuid

AT_ONCE = 200
xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
xxh3.restype = ctypes.c_uint64
xxh3.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def encode(name):
    return urllib.parse.quote(name, safe="~").replace(".", "%2E")


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.input = self.socket.makefile("rb")
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB answer.* 1\r\n')

    def message(self):
        while True:
            words = self.input.readline().split()
            if not words or words[0] == b"-ERR":
                sys.exit("the connection has ended: %r" % words)
            if words[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")
            elif words[0] in (b"MSG", b"HMSG"):
                header = int(words[-2]) if words[0] == b"HMSG" else 0
                body = self.input.read(int(words[-1]) + 2)[header:-2]
                return int(words[1].split(b".")[1]), json.loads(body)

    def requests(self, subjects, headers, payloads):
        """One request for each, all sent before the first answer is awaited; the answers, decoded, in that order."""
        out = []
        for i, (subject, header, payload) in enumerate(zip(subjects, headers, payloads)):
            head = "NATS/1.0\r\n" + "".join("%s: %s\r\n" % h for h in header.items()) + "\r\n"
            out.append(b"HPUB %s answer.%d %d %d\r\n%s%s\r\n" % (
                subject.encode(), i, len(head), len(head) + len(payload), head.encode(), payload))
        self.socket.sendall(b"".join(out))
        return [answer for _, answer in sorted((self.message() for _ in out), key=lambda a: a[0])]


class Last:
    """The last record of an actor."""

    def __init__(self, answer):
        message = answer.get("message")
        header = {}
        if message:
            lines = base64.b64decode(message["hdrs"]).decode().split("\r\n")
            header = dict(line.split(": ", 1) for line in lines if ": " in line)
        self.sequence = message["seq"] if message else 0
        self.version = int(header.get("Aether-Versions", "0-0").split("-")[1])
        self.count = int(header.get("Aether-Count", 0))
        self.size = int(header.get("Aether-Offset", 0)) + len(base64.b64decode(message.get("data", "")) if message else b"")
        self.sum = int(header.get("Aether-Sum", "0"), 16)
        self.time = int(header.get("Aether-Time", 0))

    def next(self, actor, text):
        """The headers and the payload of the record that follows it."""
        event_id = str(uuid.uuid4())
        event = {"version": self.version + 1, "id": event_id, "eventType": "Text", "actorId": actor,
                 "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime()), "data": {"text": text}}
        payload = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        return {
            "Nats-Expected-Last-Subject-Sequence": self.sequence,
            "Nats-Msg-Id": "%s/%s" % (encode(actor), event_id),
            "Aether-Versions": "%d-%d" % (self.version + 1, self.version + 1),
            "Aether-Count": self.count + 1,
            "Aether-Offset": self.size,
            "Aether-Sum": "%016x" % xxh3(payload, len(payload), self.sum),
            "Aether-Time": max(time.time_ns() // 1000, self.time + 1),
        }, payload


def append(connection, ns, batch, expected):
    """batch: text by actor."""
    subjects = ["aether.ev.%s.%s" % (encode(ns), encode(actor)) for actor in batch]
    get = "$JS.API.STREAM.MSG.GET.aether-" + encode(ns).replace("%", "=")
    queries = [json.dumps({"last_by_subj": subject}).encode() for subject in subjects]
    lasts = [Last(a) for a in connection.requests([get] * len(batch), [{}] * len(batch), queries)]
    records = [last.next(actor, text) for last, (actor, text) in zip(lasts, batch.items())]
    if expected is not None:
        for header, _ in records:
            header["Nats-Expected-Last-Subject-Sequence"] = expected
    for answer in connection.requests(subjects, [r[0] for r in records], [r[1] for r in records]):
        if "error" in answer:
            print(json.dumps(answer))
            sys.exit(1)


def main():
    connection = Connection(int(sys.argv[1]))
    expected = sys.argv[3] if len(sys.argv) > 3 else None
    batch = {}
    for line in sys.stdin:
        actor, text = line.rstrip("\n").split(" ", 1)
        if actor in batch or len(batch) == AT_ONCE:
            append(connection, sys.argv[2], batch, expected)
            batch = {}
        batch[actor] = text
    append(connection, sys.argv[2], batch, expected)


main()
