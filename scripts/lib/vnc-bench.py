"""What scripts/vnc-bench measures: bytes to a viewer, and CPU time of all threads but the vCPU's.

vnc-bench.py ENCODINGS SOCKET COMMAND...    starts COMMAND, looks, prints bytes and microseconds
"""

import os
import socket
import struct
import subprocess
import sys
import threading
import time

# As often as the server of vmm-run looks at its display.
REQUESTS_PER_SECOND = 30


class Viewer:
    """Asks for changes all the time and counts what comes; it draws nothing."""

    def __init__(self, path, encodings):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.count = 0
        self._read(12)
        self.socket.sendall(b"RFB 003.008\n")
        self._read(self._read(1)[0])
        self.socket.sendall(b"\x01")
        self._read(4)
        self.socket.sendall(b"\x01")
        start = self._read(24)
        self.size = struct.unpack(">HH", start[:4])
        self._read(struct.unpack(">I", start[20:])[0])
        self.socket.sendall(struct.pack(">BxH", 2, len(encodings)))
        self.socket.sendall(struct.pack(">%di" % len(encodings), *encodings))
        self._ask(0)
        threading.Thread(target=self._ask_always, daemon=True).start()
        threading.Thread(target=self._count, daemon=True).start()

    def _read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _ask(self, incremental):
        self.socket.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, *self.size))

    def _ask_always(self):
        try:
            while True:
                time.sleep(1 / REQUESTS_PER_SECOND)
                self._ask(1)
        except OSError:
            pass

    def _count(self):
        try:
            while data := self.socket.recv(1 << 20):
                self.count += len(data)
        except OSError:
            pass


def thread_times(process):
    """Nanoseconds on a CPU, by thread."""
    times = {}
    for thread in os.listdir("/proc/%d/task" % process):
        try:
            with open("/proc/%d/task/%s/schedstat" % (process, thread)) as file:
                times[thread] = int(file.read().split()[0])
        except FileNotFoundError:
            pass
    return times


def run(encodings, path, command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def wait_for(letter):
        while (seen := process.stdout.read(1)) != letter:
            if not seen:
                sys.exit("the guest ended before %r" % letter)

    try:
        wait_for(b"R")
        viewer = Viewer(path, encodings)
        wait_for(b"B")
        before, count = thread_times(process.pid), viewer.count
        wait_for(b"E")
        time.sleep(1)
        after = thread_times(process.pid)
        used = sorted(time - before.get(thread, 0) for thread, time in after.items())
        # The guest never halts: its vCPU is what worked most.
        print(viewer.count - count, sum(used[:-1]) // 1000)
    finally:
        process.kill()
        process.wait()


run([int(word) for word in sys.argv[1].split(",")], sys.argv[2], sys.argv[3:])
