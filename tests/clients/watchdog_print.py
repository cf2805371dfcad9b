"""Prints what python3-watchdog says of a directory: "EVENT PATH" a line."""
import sys

from watchdog.events import FileSystemEventHandler
from watchdog.observers.inotify import InotifyObserver


class Printer(FileSystemEventHandler):
    def on_any_event(self, event):
        print(event.event_type, event.src_path, flush=True)


observer = InotifyObserver()
observer.schedule(Printer(), sys.argv[1])
observer.start()
observer.join()
