#!/usr/bin/env python3
"""What can be checked about documents: links and named files exist, the man page renders and knows every command, scripts parse.

usage: docs.py SOURCE_DIR      prints "ok - ..." and "not ok - ..." lines for ./check
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1]).resolve()
bad = 0


def result(name, problems):
    global bad
    if problems:
        bad += 1
        print(f"not ok - {name}")
        for line in problems[:15]:
            print(f"# {line}")
    else:
        print(f"ok - {name}")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=ROOT)


def tracked(*patterns):
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def links():
    """Relative links of every Markdown file, and `dir/file` names in backticks whose directory is one of ours."""
    problems = []
    tops = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {"build"}
    for page in tracked("*.md", "docs/*.md", "docs/**/*.md"):
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                problems.append(f"{page.relative_to(ROOT)}: link to {target}")
        for target in re.findall(r"`([\w.-]+/[\w./-]+)`", text):
            if target.split("/")[0] in tops and not (ROOT / target).exists():
                problems.append(f"{page.relative_to(ROOT)}: names {target}")
    return problems


def present():
    return [name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "docs/protocol.md", "docs/man/shoal.1") if not (ROOT / name).exists()]


def man():
    problems = []
    if not shutil.which("groff"):
        return ["groff is not installed"]
    for name in ("docs/man/shoal.1", "docs/man/simnet.1"):
        page = ROOT / name
        if not page.exists():
            problems.append(f"{name} is not there")
            continue
        problems += [line for line in run("groff", "-man", "-ww", "-Tutf8", "-z", str(page)).stderr.splitlines() if line.strip()]
    return problems


def commands():
    """The commands that --help lists are in the man page and in the completion."""
    binary = next((p for p in (ROOT / "build/release/bin/shoal", ROOT / "build/dev/bin/shoal") if p.exists()), None)
    if binary is None:
        return ["no binary to ask"]
    text = run(str(binary), "--help").stdout
    names = list(dict.fromkeys(re.findall(r"^  ([a-z]+)(?: [a-z]+)?  +\S", text.split("Options")[0], re.M)))
    problems = [] if len(names) >= 10 else [f"--help lists only {names}"]
    pages = {path.name: path.read_text(errors="replace") for path in tracked("docs/man/shoal.1", "completion/bash/*")}
    for page, body in pages.items():
        problems += [f"{page} does not know the command {name}" for name in names if not re.search(rf"\b{name}\b", body)]
    if len(pages) < 2:
        problems.append("no bash completion found")
    return problems


def scripts():
    problems = []
    for path in [ROOT / "demo", ROOT / "check", *tracked("cmake/*.sh", "completion/bash/*", "tests/**/*.sh")]:
        if path.exists() and run("bash", "-n", str(path)).returncode:
            problems.append(str(path.relative_to(ROOT)))
    for path in tracked("tests/**/*.py"):
        try:
            compile(path.read_text(), str(path), "exec")
        except SyntaxError as error:
            problems.append(f"{path.relative_to(ROOT)}: {error}")
    return problems


def hosts():
    """No registry's host is named in scripts: packages come by the machine's own configuration."""
    problems = []
    for path in [ROOT / "demo", ROOT / "check", ROOT / ".ci/run", *tracked("cmake/*.sh", "cmake/*.cmake")]:
        if path.exists():
            problems += [f"{path.name}: {line.strip()}" for line in path.read_text().splitlines() if re.search(r"https?://|deb\.debian", line)]
    return problems


result("the documents are there", present())
result("links and named files in the documents exist", links())
result("the man pages render without a warning", man())
result("man page and completion know every command", commands())
result("scripts parse", scripts())
result("scripts name no package host", hosts())
sys.exit(1 if bad else 0)
