# The one list of Debian 12 packages, sourced by ./demo and ./check (bash). Each line: group, package, what it is for.
# Groups: build (compile and run shoal), test (./check), bench (the peers beside us in tests/bench/run.py).

packages_table() {
    cat <<'TABLE'
build gcc                 the C11 compiler
build libc6-dev           C headers
build cmake               builds, presets
build ninja-build         runs the build
build pkg-config          finds the libraries
build git                 version in use; fresh clones
build libsodium-dev       keys, signatures, handshakes, sealed datagrams, passwords
build libssl-dev          SHA-256 and ChaCha20-Poly1305 in bulk (SHA-NI, AVX), TLS later
build libuv1-dev          sockets, timer, thread pool of the host
build libmsgpack-dev      packs what goes on the wire; oracle of our reader in the fuzz targets
build libsqlite3-dev      catalogue of a home
build libjansson-dev      JSON of the control interface
build libinih-dev         configuration
build libqrencode-dev     invites as QR codes
build libcmocka-dev       unit tests
build uthash-dev          hash maps
test  python3             system tests with real processes, purity check
test  binutils            nm and objdump for the purity check
test  valgrind            unit tests under memcheck
test  clang               second compiler; fuzz preset
test  libclang-rt-14-dev  libFuzzer and the sanitizers for clang
test  faketime            a node whose clock is wrong by a year
test  man-db              the man page renders without a warning
test  groff-base          the same
test  procps              what is still running
test  zbar-tools          reads the QR codes that invites are printed as
test  mount               a small tmpfs that fills (root only)
test  chromium            the pages, every one and the flows people walk
test  chromium-driver     drives it
test  python3-libtorrent  an outside judge of our hash trees; the peer beside us in the transfer benches
test  ffmpeg  a real video, played in Chromium while it arrives
test  aria2  an outside judge of our torrents and Metalinks
test  transmission-cli  an outside judge of our torrents
test  bind9-dnsutils      dig, against the DNS gateway
test  knot-dnsutils       kdig
test  python3-dnspython   reads the zone file that we read
test  dnsmasq-base        forwards shoal.alt to us; the peer beside us in the DNS bench
bench unbound             forwards shoal.alt to us in ./check, when it is there (it starts a service: not installed by ./check)
bench bind9               the same
bench dnsperf             asks in the DNS bench
bench knot                the peer beside us there; with nsd the judge of tests/interop/dns_beside.py
bench nsd                 the same
test  curl                fetches and resumes by FTP
test  lftp                mirrors by FTP, both ways
bench vsftpd              the peer beside us in the FTP bench
bench rsync               the peer beside us in the tree bench
bench openssl             the yardstick of the share bench
TABLE
}

# packages_missing GROUP...: names that dpkg does not know as installed, one per line.
packages_missing() {
    local group package rest wanted=" $* "
    while read -r group package rest; do
        [[ $wanted == *" $group "* ]] || continue
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done < <(packages_table)
}

# packages_ensure GROUP...: installs what is missing as root, or by sudo, or says the one line to run and returns 1.
packages_ensure() {
    local missing line log
    if ! command -v dpkg-query >/dev/null; then
        echo "This is not a Debian system: taking the tools and libraries as they are (cmake/packages.sh lists them)."
        return 0
    fi
    mapfile -t missing < <(packages_missing "$@")
    ((${#missing[@]})) || return 0
    line="apt-get install -y --no-install-recommends ${missing[*]}"
    local as=()
    if ((EUID != 0)); then
        if sudo -n true 2>/dev/null; then
            as=(sudo -n)
        else
            printf 'Packages are missing. Run this one line, then try again:\n\n    sudo apt-get update && sudo %s\n\n' "$line" >&2
            return 1
        fi
    fi
    echo "Installing ${#missing[@]} packages: ${missing[*]}"
    log=$(mktemp)
    # Lists may be absent (a fresh container) or older than what the mirror still has: refresh and try once more.
    if ! compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || ! packages_install; then
        "${as[@]}" apt-get update </dev/null >>"$log" 2>&1
        if ! packages_install; then
            tail -n 20 "$log" >&2
            printf '\nInstalling failed; the line was:\n\n    %s\n\n' "${as[*]} $line" >&2
            rm -f "$log"
            return 1
        fi
    fi
    rm -f "$log"
}

# Uses as, missing and log of packages_ensure. A fresh machine is often still installing its own updates: wait for the lock, five minutes at most.
packages_install() {
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y \
        --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1
}
