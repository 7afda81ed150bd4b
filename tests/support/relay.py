"""A relay that makes a distance: whatever goes through 127.0.0.1:PORT (TCP and UDP) to a node arrives `delay` seconds later, in order, either way.

One thread; it counts connections and remembers nothing. TCP's own handshake is with the relay and takes no time: who counts round trips adds one."""
import heapq
import selectors
import socket
import threading
import time

PIECE = 65536
BACKLOG = 64 << 20  # bytes on their way in one direction, then the sender waits


class Relay:
    def __init__(self, target, delay):
        self.target, self.delay = target, delay
        self.listener, self.udp = self._pair()
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self.selector.register(self.udp, selectors.EVENT_READ, self._client_datagram)
        self.due, self.number, self.peers, self.connections, self.running = [], 0, {}, 0, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @staticmethod
    def _pair():
        for _ in range(50):
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                udp.bind(listener.getsockname())
            except OSError:
                listener.close(), udp.close()
                continue
            listener.listen(64)
            for s in (listener, udp):
                s.setblocking(False)
            return listener, udp
        raise OSError("no port is free for TCP and UDP")

    def later(self, act, delay=None):
        self.number += 1
        heapq.heappush(self.due, (time.monotonic() + (self.delay if delay is None else delay), self.number, act))

    # ---- TCP ----
    def _accept(self, _):
        near, _ = self.listener.accept()
        far = socket.create_connection(self.target)
        self.connections += 1
        for s in (near, far):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        queues = {near: [], far: []}  # towards
        for source, sink in ((near, far), (far, near)):
            self.selector.register(source, selectors.EVENT_READ, lambda s, sink=sink: self._stream(s, sink, queues))

    def _stream(self, source, sink, queues):
        try:
            data = source.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(source)
        self.later(lambda: self._deliver(sink, data, queues))

    def _deliver(self, sink, data, queues):
        queue = queues[sink]
        queue.append(data)
        self._flush(sink, queue)

    def _flush(self, sink, queue):
        while queue:
            if queue[0] == b"":
                try:
                    sink.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                queue.pop(0)
                continue
            try:
                sent = sink.send(queue[0])
            except BlockingIOError:
                self.later(lambda: self._flush(sink, queue), 0.002)
                return
            except OSError:
                queue.clear()
                return
            queue[0] = queue[0][sent:]
            if not queue[0]:
                queue.pop(0)

    # ---- UDP ----
    def _client_datagram(self, _):
        data, client = self.udp.recvfrom(PIECE)
        far = self.peers.get(client)
        if far is None:
            far = self.peers[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            far.bind(("127.0.0.1", 0))
            far.setblocking(False)
            self.selector.register(far, selectors.EVENT_READ, lambda s: self._node_datagram(s, client))
        self.later(lambda: far.sendto(data, self.target))

    def _node_datagram(self, far, client):
        data = far.recv(PIECE)
        self.later(lambda: self.udp.sendto(data, client))

    def _run(self):
        while self.running:
            now = time.monotonic()
            while self.due and self.due[0][0] <= now:
                act = heapq.heappop(self.due)[2]
                try:
                    act()
                except OSError:
                    pass
            wait = min(0.05, self.due[0][0] - now) if self.due else 0.05
            for key, _ in self.selector.select(max(wait, 0)):
                try:
                    key.data(key.fileobj)
                except (OSError, KeyError):
                    pass

    def close(self):
        self.running = False
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
