#!/usr/bin/python3
"""The peer beside us: python3-libtorrent, in clear, TCP only, no DHT, told directly where its peer is. One process is one peer.

  torrent_peer.py make FILE TORRENT            a v1 torrent, which is faster here than v2 (165 against 145 MB/s)
  torrent_peer.py seed FILE TORRENT            prints its port, serves until standard input ends, prints {"rss_kib": peak}
  torrent_peer.py leech DIR TORRENT PORT...    fetches from the first port (later ones: fellow leeches), syncs, prints {"seconds", "rss_kib"};
                                               prints its port first and starts on a line from standard input
"""
import json
import os
import sys
import threading
import time

import libtorrent as lt


def session():
    settings = {
        "listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "enable_incoming_utp": False, "enable_outgoing_utp": False, "allow_multiple_connections_per_ip": True,
        "out_enc_policy": int(lt.enc_policy.pe_disabled), "in_enc_policy": int(lt.enc_policy.pe_disabled),
        "alert_mask": 0, "connections_limit": 200, "unchoke_slots_limit": -1, "max_out_request_queue": 2000,
        "send_buffer_watermark": 8 << 20, "send_buffer_low_watermark": 1 << 20, "send_buffer_watermark_factor": 150,
        "aio_threads": 4, "hashing_threads": 2, "torrent_connect_boost": 50, "user_agent": "bench",
    }
    return lt.session(settings)


def peak_rss_kib():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def make(path, torrent):
    storage = lt.file_storage()
    lt.add_files(storage, path)
    creator = lt.create_torrent(storage, 1 << 20, lt.create_torrent.v1_only)
    lt.set_piece_hashes(creator, os.path.dirname(os.path.abspath(path)))
    with open(torrent, "wb") as f:
        f.write(lt.bencode(creator.generate()))


def add(ses, torrent, folder, seed):
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = folder
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if seed:
        params.flags |= lt.torrent_flags.seed_mode
    return ses.add_torrent(params)


def seed(path, torrent):
    ses = session()
    add(ses, torrent, os.path.dirname(os.path.abspath(path)), True)
    print(ses.listen_port(), flush=True)
    sys.stdin.read()
    print(json.dumps({"rss_kib": peak_rss_kib()}), flush=True)
    os._exit(0)


def leech(folder, torrent, ports):
    ses = session()
    print(ses.listen_port(), flush=True)
    fellows = sys.stdin.readline().split()
    started = time.monotonic()
    handle = add(ses, torrent, folder, False)
    for port in ports + fellows:
        handle.connect_peer(("127.0.0.1", int(port)))
    while not handle.status().is_finished:
        if not handle.status().num_peers:
            handle.connect_peer(("127.0.0.1", int(ports[0])))
        time.sleep(0.02)
    handle.flush_cache()
    info = handle.torrent_file()
    for index in range(info.num_files()):
        fd = os.open(os.path.join(folder, info.files().file_path(index)), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    print(json.dumps({"seconds": time.monotonic() - started, "rss_kib": peak_rss_kib()}), flush=True)
    # Goes on serving its fellows until told to end.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        time.sleep(3600)


command, *arguments = sys.argv[1:]
if command == "make":
    make(*arguments)
elif command == "seed":
    seed(*arguments)
else:
    leech(arguments[0], arguments[1], arguments[2:])
