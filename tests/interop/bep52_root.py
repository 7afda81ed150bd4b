#!/usr/bin/python3
"""Purpose: an outside judge of our hash trees. libtorrent makes a v2 torrent of one file of each size; its `pieces root` must be
what `test_transfer_tree FILE` prints. Usage: bep52_root.py BUILD_FOLDER. Prints passed or failed; exits 77 without libtorrent."""
import os
import subprocess
import sys
import tempfile

try:
    import libtorrent
except ImportError:
    print("skipped: python3-libtorrent is not installed")
    sys.exit(77)

# FIELD.md's sizes but 0 (no root in BEP 52), both sides of every edge, several spans, several of libtorrent's pieces.
SIZES = [1, 64, 16383, 16384, 16385, 32768, 49152, 65537, 163840, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (3 << 20) + 5,
         5 << 20, 16 << 20, (33 << 20) + 4711]
VECTORS = {1: "6e340b9c", 16384: "4348e3b9", 16385: "9d7887c6", 49152: "c23d35ec", 65537: "27e4ccf8", 163840: "92ffcec5"}


def root_by_libtorrent(path):
    storage = libtorrent.file_storage()
    libtorrent.add_files(storage, path)
    torrent = libtorrent.create_torrent(storage, 0, flags=libtorrent.create_torrent_flags_t.v2_only)
    libtorrent.set_piece_hashes(torrent, os.path.dirname(path))
    node = torrent.generate()[b"info"][b"file tree"]
    while b"" not in node:
        node = next(iter(node.values()))
    return node[b""][b"pieces root"].hex()


def main():
    program = os.path.join(sys.argv[1], "tests", "test_transfer_tree")
    failed = 0
    pattern = bytes(i % 251 for i in range(251 * 64))
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = os.path.join(folder, "data")
            with open(path, "wb") as f:
                f.write((pattern * (size // len(pattern) + 1))[:size])
            theirs = root_by_libtorrent(path)
            ours = subprocess.run([program, path], check=True, capture_output=True, text=True).stdout.strip()
            if ours != theirs or not theirs.startswith(VECTORS.get(size, "")):
                print(f"{size} bytes: ours {ours}, libtorrent's {theirs}")
                failed += 1
    print(f"bep52_root: {len(SIZES)} sizes against libtorrent {libtorrent.__version__}:", "failed" if failed else "passed")
    return 1 if failed else 0


sys.exit(main())
