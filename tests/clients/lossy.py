"""Stands between clients and a nats-server, and loses what it is told to.

    lossy.py SERVER_PORT ORDERS

Prints the port it listens at. ORDERS is a file: "request SUBJECT" there means that the next request whose subject begins so, or that asks for a
message of that subject, does not reach the server, "answer SUBJECT" that its answer does not come back, "doubt SUBJECT" that the answer is that
of a leader that has the same message already, and has not stored it yet, "early SUBJECT" that it is that of one that was asked for a message
before it has stored it; SUBJECT|SUBJECT is either of them. The file is emptied when that has been done. "hint SUBJECT" there means, as long as it
is there, that what is published to it does not come to those who listen.
"""
import asyncio
import os
import sys

ANSWERS = {"doubt": b'{"stream":"s","seq":0,"duplicate":true}',
           "early": b'{"error":{"code":404,"err_code":10037,"description":"no message found"}}'}
server_port, orders = int(sys.argv[1]), sys.argv[2]
claimed = []  # the order that some request is marked with, until its answer has come


def order():
    try:
        with open(orders) as file:
            return file.read().split()
    except FileNotFoundError:
        return []


async def pump(reader, writer, verbs, change):
    """Copy one direction; messages are what change(words, line, data) makes of them."""
    try:
        while line := await reader.readline():
            words = line.decode().split()
            data = b""
            if words and words[0].upper() in verbs:
                data = await reader.readexactly(int(words[-1]) + 2)
                line, data = change(words, line, data)
            writer.write(line + data)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()


async def client(reader, writer):
    server_reader, server_writer = await asyncio.open_connection("127.0.0.1", server_port, limit=1 << 24)
    marked = {}

    def change_request(words, line, data):
        wanted = order()
        reply = words[2] if len(words) == (5 if words[0].upper() == "HPUB" else 4) else None
        if len(wanted) != 2 or reply is None or not any(
                words[1].startswith(subject) or b'"%s"' % subject.encode() in data for subject in wanted[1].split("|")):
            return line, data
        if wanted[0] == "request":
            os.truncate(orders, 0)
            return b"", b""
        if claimed != wanted:
            claimed[:] = wanted
            marked[reply] = wanted[0]
        return line, data

    def change_answer(words, line, data):
        if order() == ["hint", words[1]]:
            return b"", b""
        mark = marked.pop(words[1], None)
        if mark:
            claimed.clear()
            os.truncate(orders, 0)
        if mark in ANSWERS:
            answer = ANSWERS[mark]
            return b"MSG %s %s %d\r\n" % (words[1].encode(), words[2].encode(), len(answer)), answer + b"\r\n"
        return (b"", b"") if mark else (line, data)

    await asyncio.gather(pump(reader, server_writer, ("PUB", "HPUB"), change_request),
                         pump(server_reader, writer, ("MSG", "HMSG"), change_answer))


async def main():
    listener = await asyncio.start_server(client, "127.0.0.1", 0, limit=1 << 24)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()

asyncio.run(main())
