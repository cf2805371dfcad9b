"""Checks what readers got of an actor, each file one reading: no NUL byte, lines whole as far as a newline was read, versions contiguous.

    check_read.py whole|begin|part FILE...

whole: from the beginning to the end of a line; begin: from the beginning, perhaps to the middle of a line; part: from the middle of a line
to the end of one. The first thing that is wrong is said, and the exit code is 1.
"""
import json
import sys


def fault(how, data):
    if b"\0" in data:
        return "a NUL byte at %d" % data.index(b"\0")
    if how != "begin" and data and not data.endswith(b"\n"):
        return "it ends in the middle of a line"
    lines = data.split(b"\n")[1 if how == "part" else 0:-1]
    try:
        versions = [json.loads(line)["version"] for line in lines]
    except ValueError as error:
        return "a torn line: %s" % error
    first = versions[0] if how == "part" and versions else 1
    if versions != list(range(first, first + len(versions))):
        return "the versions are not contiguous"
    return None


for name in sys.argv[2:]:
    with open(name, "rb") as file:
        found = fault(sys.argv[1], file.read())
    if found:
        print("%s: %s" % (name, found))
        sys.exit(1)
