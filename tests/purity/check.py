#!/usr/bin/env python3
"""The house rules, checked (DESIGN.md, "The house" and "The core interface"; ctest house.purity).

 1. Every source of a core room and of a gateway parser compiles with headers of libuv, sockets, files, clocks and threads poisoned.
 2. The objects of these rooms reference nothing but a list of pure functions: no clock, socket, file, thread, system random symbol, and
    no msgpack_unpack*.
 3. They keep no writable global.
 4. Only node/host and *_host.c include uv.h; only node/host/store includes sqlite3.h.
 5. Includes between rooms follow the arrows.

usage: check.py SOURCE_DIR CC ROOM=LIBRARY.a ...      every broken rule is one line; exit status 1 when there is one
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile

# room: folder, and the folders its files may include besides their own.
ROOMS = {
    "shoal_base": ("node/base", []),
    "shoal_channel": ("node/channel", ["node/base"]),
    "shoal_dht": ("dht", ["node/base", "node/channel"]),
    "shoal_transfer": ("transfer", ["node/base", "node/channel"]),
    "shoal_names": ("node/names", ["node/base", "node/channel", "dht", "transfer"]),
    "shoal_node": ("node", ["node/base", "node/channel", "dht", "transfer", "node/names"]),
    "shoal_http": ("gateways/http", ["node/base"]),
    "shoal_dns": ("gateways/dns", ["node/base"]),
    "shoal_limits": ("gateways", ["node/base"]),
    "shoal_ftp": ("gateways/ftp", ["node/base"]),
}
HOST_ROOMS = {
    "node/host/store": ["node/base", "node/channel", "dht", "transfer"],
    "node/host": ["node/base", "node/channel", "dht", "transfer", "node/names", "node", "node/host/store"],
}

# What a core may call that is not in a core. Anything else is a finding: add it here only if it is a pure function of its arguments.
PURE = re.compile(r"""^(
    mem(cpy|move|set|cmp|chr|rchr|mem) | __mem(cpy|move|set)_chk | explicit_bzero | __explicit_bzero_chk | bcmp
  | str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|spn|cspn|pbrk|cpy|ncpy|cat|ncat|dup|ndup|tol|toul|toll|toull) | stpcpy | __str\w+_chk
  | __isoc\d+_strtou?ll?
  | v?snprintf | __v?snprintf_chk
  | hton[sl] | ntoh[sl]
  | malloc | calloc | realloc | free | reallocarray | aligned_alloc | posix_memalign
  | abort | qsort | bsearch | abs | labs
  | floor | ceil | sqrt | log | log2 | exp | pow | fabs | lround | llround | round
  | sodium_(memcmp|memzero|is_zero|increment|add|sub|compare|bin2hex|pad|unpad)
  | crypto_(generichash|generichash_blake2b|sign|sign_ed25519|sign_seed|hash|hash_sha256|hash_sha512|scalarmult|scalarmult_curve25519|aead_x?chacha20poly1305|secretbox|stream_x?chacha20|stream|core_h?chacha20|core_ed25519|verify|onetimeauth|auth|shorthash|kdf|box_seal_open|box)\w*
  | EVP_\w+ | SHA256\w* | OPENSSL_cleanse | CRYPTO_memcmp | ERR_clear_error
  | msgpack_(?!unpack)\w+
  | __stack_chk_fail | _GLOBAL_OFFSET_TABLE_ | __(asan|ubsan|tsan|sanitizer|sancov)\w* | __tsan\w* | __popcountdi2 | __u?(mod|div)ti3
)$""", re.X)
# Named like a pure family but not pure.
IMPURE = re.compile(r"(?<!seed)_keypair$|_keygen$|^EVP_(PKEY_keygen|PKEY_generate|RAND)|^EVP_CIPHER_CTX_rand|random")
# Our own last words, in one file only: core_assert_fail prints and aborts.
# Which instructions the processor has, found by the compiler's library once, before main.
ALLOWED_IN = {"sha256_pair.c": {"__cpu_model", "__cpu_features2"},
              "assert.c": {"fprintf", "__fprintf_chk", "fputs", "fwrite", "fflush", "stderr", "dprintf", "write"}}

findings = []


def run(command):
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def core_sources(root):
    for folder, _ in ROOMS.values():
        for path in sorted((root / folder).glob("*.c")):
            if not path.name.endswith(("_host.c", "_host.h")):
                yield path


def compile_poisoned(root, compiler, path):
    here = root / "tests/purity"
    result = run([compiler, "-std=gnu11", "-fsyntax-only", "-w", "-D_GNU_SOURCE", '-DSHOAL_VERSION="0"', "-I", str(here / "include"),
                  "-I", str(root), "-include", str(here / "preload.h"), str(path)])
    if result.returncode == 0:
        return []
    lines = [line for line in result.stderr.splitlines() if ": error: " in line]
    return [f"{path.relative_to(root)}: does not compile on its own: {line}" for line in lines[:3]]


def check_symbols(libraries):
    defined, undefined = set(), []
    for library in libraries.values():
        member = "?"
        for line in run(["nm", "-A", str(library)]).stdout.splitlines():
            match = re.match(r"^.*?:([^:]+\.o):\s*([0-9a-f]+)?\s+(\w)\s+(\S+)$", line)
            if not match:
                continue
            member, _, kind, name = match.groups()
            if kind in "Uwv":
                undefined.append((library.name, member, name))
            elif kind.isupper():
                defined.add(name)
    for library, member, name in undefined:
        if name in defined or (PURE.match(name) and not IMPURE.search(name)):
            continue
        source = member[:-2]
        if name in ALLOWED_IN.get(source, ()):
            continue
        findings.append(f"{library}({source}): references `{name}`")


def check_globals(libraries):
    for library in libraries.values():
        member = "?"
        for line in run(["objdump", "-t", str(library)]).stdout.splitlines():
            match = re.match(r"^(\S+\.o):\s+file format", line)
            if match:
                member = match.group(1)
                continue
            match = re.match(r"^[0-9a-f]{16} .{7} (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$", line)
            if not match:
                continue
            section, size, name = match.groups()
            writable = section == "*COM*" or (re.match(r"^\.t?(data|bss)", section) and not section.startswith(".data.rel.ro"))
            if writable and int(size, 16) and not name.startswith(("__", ".L", ".data", ".bss")):
                findings.append(f"{library.name}({member}): keeps a writable global, `{name}`")


def check_includes(root):
    libraries_of = {"uv.h": re.compile(r"^node/host/|_host\.[ch]$"), "sqlite3.h": re.compile(r"^node/host/store/")}
    may_include = {folder: allowed for folder, allowed in ROOMS.values()} | HOST_ROOMS
    for path in sorted(root.glob("**/*.[ch]")):
        name = path.relative_to(root).as_posix()
        if not name.startswith(("node/", "dht/", "transfer/", "gateways/", "cli/", "simnet/")):
            continue
        folder = name.rsplit("/", 1)[0]
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = re.match(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            header = match.group(2)
            if header in libraries_of and not libraries_of[header].search(name):
                findings.append(f"{name}:{number}: includes {header}")
            if match.group(1) == '"' and folder in may_include and not re.search(r"_host\.[ch]$", name):
                target = header.rsplit("/", 1)[0] if "/" in header else folder
                if target != folder and target not in may_include[folder]:
                    findings.append(f"{name}:{number}: an arrow that points up: {folder} includes {header}")


DIRTY = """
#include <stdlib.h>
long time(long *); int socket(int, int, int); int getrandom(void *, unsigned long, unsigned); int pthread_create(void); int fopen64(void);
int msgpack_unpack_next(void); int crypto_box_keypair(void); int RAND_bytes(void); int kept; static int counted = 1; int rand_r(unsigned *);
int dirty(void) { kept++; counted++; return (int)time(0) + socket(0, 0, 0) + getrandom(0, 0, 0) + pthread_create() + fopen64() + msgpack_unpack_next()
    + crypto_box_keypair() + RAND_bytes() + rand() + rand_r(0); }
"""


def self_test(compiler):
    """A check that finds nothing must be one that can find something."""
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder)
        (base / "dirty.c").write_text(DIRTY)
        run([compiler, "-w", "-c", str(base / "dirty.c"), "-o", str(base / "dirty.c.o")])
        run(["ar", "rcs", str(base / "dirty.a"), str(base / "dirty.c.o")])
        check_symbols({"dirty": base / "dirty.a"})
        check_globals({"dirty": base / "dirty.a"})
    found, expected = list(findings), 10 + 2
    findings.clear()
    if len(found) != expected:
        findings.append(f"the check itself is broken: {len(found)} of {expected} faults found in a dirty sample: {found}")


def main():
    root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
    self_test(compiler)
    libraries = {name: pathlib.Path(path) for name, path in (argument.split("=", 1) for argument in sys.argv[3:])}
    missing = set(ROOMS) - set(libraries)
    if missing:
        findings.append(f"no library given for {', '.join(sorted(missing))}")
    sources = list(core_sources(root))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for lines in pool.map(lambda path: compile_poisoned(root, compiler, path), sources):
            findings.extend(lines)
    check_symbols(libraries)
    check_globals(libraries)
    check_includes(root)
    for line in findings:
        print(line)
    print(f"purity: {len(sources)} sources in {len(ROOMS)} rooms, {len(findings)} findings")
    return 1 if findings or not sources else 0


sys.exit(main())
