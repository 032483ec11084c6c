#!/usr/bin/env python3
"""Slow and hostile clients of a local HTTP server: hostile_clients.py PORT [--clients 50] [--seconds 10].

Five kinds, in equal numbers, each of which connects again when the server drops it: headers that
drip a byte at a time, connections that say nothing, endless headers, floods of pipelined requests,
and clients that ask for much and never read. As a program it runs until the time is over and prints
what happened, at the lowest priority. In a test:

    with HostileClients(port) as clients:
        ...                      # clients.connections, clients.dropped: counts by kind
"""
import argparse
import collections
import json
import os
import socket
import threading
import time


class HostileClients:
    def __init__(self, port, clients=50, target="/data"):
        self.port, self.target = port, target
        self.ended = threading.Event()
        self.connections, self.dropped = collections.Counter(), collections.Counter()
        kinds = [self.drip, self.silence, self.endless_header, self.flood, self.never_read]
        self.threads = [threading.Thread(target=self.again, args=(kinds[i % len(kinds)],), daemon=True)
                        for i in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def again(self, kind):
        while not self.ended.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as peer:
                    self.connections[kind.__name__] += 1
                    kind(peer)
            except TimeoutError:
                continue
            except OSError:  # reset, refused or closed by the server
                self.dropped[kind.__name__] += 1
            self.ended.wait(0.2)

    def request(self):
        return f"GET {self.target} HTTP/1.1\r\nHost: localhost:{self.port}\r\n\r\n".encode()

    def until_closed(self, peer, send=lambda: None):
        """Sends and waits in turn; OSError when the server has closed."""
        peer.settimeout(0.5)
        while not self.ended.is_set():
            send()
            try:
                if not peer.recv(1):
                    raise OSError("closed")
            except TimeoutError:
                pass

    def drip(self, peer):
        header = iter(self.request()[:-2] + b"X: y\r\n" * 100_000)
        self.until_closed(peer, lambda: peer.sendall(bytes([next(header)])))

    def silence(self, peer):
        self.until_closed(peer)

    def endless_header(self, peer):
        peer.sendall(self.request()[:-2])
        while not self.ended.is_set():
            peer.sendall(b"X-Filling: " + b"x" * 1000 + b"\r\n")

    def flood(self, peer):
        requests = self.request() * 50
        peer.setblocking(False)
        while not self.ended.is_set():
            try:
                peer.send(requests)
            except BlockingIOError:
                pass
            try:
                if not peer.recv(1 << 20):
                    raise OSError("closed")
            except BlockingIOError:
                self.ended.wait(0.01)

    def never_read(self, peer):
        requests = self.request() * 50
        while not self.ended.is_set():
            try:
                peer.sendall(requests)
            except TimeoutError:
                self.ended.wait(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    os.nice(19)  # not SCHED_IDLE: on a busy machine such a process cannot even be killed
    with HostileClients(arguments.port, arguments.clients) as clients:
        time.sleep(arguments.seconds)
    print(json.dumps({"connections": clients.connections, "dropped": clients.dropped}))


if __name__ == "__main__":
    main()
