# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a full host: samples of past months, the notes, and files that are hard to copy well."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.lab.machine import call
from tests.lab.standins.grafana.seed import seed
from tests.lab.standins.grafana.server import started
from tests.lab.standins.loki.store import VERSIONS, Entry, Labels, Store

# The longest block that Prometheus makes at a retention of ten years: its compactor leaves these alone.
BLOCK_SECONDS = 486 * 3600
BEGIN = 980 * BLOCK_SECONDS
END = 986 * BLOCK_SECONDS
SAMPLE_SECONDS = 60
SERVICES = ("notes", "files", "gateway")
METRICS: dict[str, tuple[str, Callable[[int, int], float]]] = {
    "flatnet_requests_total": ("counter", lambda index, number: index * number),
    "flatnet_response_seconds": ("gauge", lambda index, number: 0.2 + 0.1 * math.sin(index / 229 / number)),
    "flatnet_sessions": ("gauge", lambda index, number: index * number % 97),
}

NOTES = 500
BIG_FILE_MIB = 200
SMALL_FILES = 3000
UPLOADS = 48

GRAFANA_USER = 472
GRAFANA_PASSWORD = "lab-admin"
GRAFANA_LOGIN = {"user": "admin", "password": GRAFANA_PASSWORD}
# Where Grafana's container reaches Prometheus.
PROMETHEUS = "http://10.100.0.10:9090"

LOKI = VERSIONS["tsdb"]
LOKI_USER = 10001
HOUR = 3600
LOG_HOURS = 25


def make_prometheus_blocks(rootfs: Path, target: Path) -> None:
    """Let promtool make blocks of fixed past dates, 1.57 million samples in all."""
    target.mkdir(parents=True)
    source = rootfs / "samples.txt"
    blocks = rootfs / "blocks"
    with source.open("w") as file:
        file.writelines(openmetrics())
    promtool = ["chroot", str(rootfs), "promtool", "tsdb", "create-blocks-from", "--max-block-duration=486h"]
    call(*promtool, "openmetrics", "/samples.txt", "/blocks")
    source.unlink()
    for block in blocks.iterdir():
        block.rename(target / block.name)
    blocks.rmdir()
    for path in tree_paths(target):
        os.chown(path, 65534, 65534)


def openmetrics() -> Iterator[str]:
    """Every metric for every service, from the first block to the last, in the text format that promtool reads."""
    for metric, (kind, value) in METRICS.items():
        yield f"# TYPE {metric.removesuffix('_total')} {kind}\n"
        for number, service in enumerate(SERVICES, 1):
            for index, time in enumerate(range(BEGIN, END, SAMPLE_SECONDS)):
                yield f'{metric}{{service="{service}"}} {value(index, number):.6g} {time}\n'
    yield "# EOF\n"


def tree_paths(top: Path) -> list[Path]:
    """A tree and everything in it; unlike rglob of Python before 3.11.5, whatever its symbolic links say."""
    return [top, *(Path(place, name) for place, *names in os.walk(top) for name in itertools.chain(*names))]


def make_notes(target: Path) -> None:
    """The first notes, as app-notes would have left them."""
    target.mkdir(parents=True)
    lines = "".join(f"{number}\n" for number in range(1, NOTES + 1))
    for name, content in {"journal": lines, "copy": lines, "state": f"last={NOTES}\n"}.items():
        (target / name).write_text(content)
    for path in [target, *target.iterdir()]:
        os.chown(path, 1000, 1000)


def make_log_lines(target: Path, now: int) -> None:
    """Lines of the last day: the oldest with a shipped index, then some that the active index names, the newest in the log."""
    this_hour = now // HOUR * HOUR
    store = Store(target, LOKI)
    store.append(log_lines(this_hour - LOG_HOURS * HOUR, this_hour - 12 * HOUR))
    store.flush()
    store.ship()
    store.append(log_lines(this_hour - 12 * HOUR, this_hour - 2 * HOUR))
    store.flush()
    store.append(log_lines(this_hour - 2 * HOUR, now))
    store.close()
    for path in tree_paths(target):
        os.chown(path, LOKI_USER, LOKI_USER)


def make_dashboards(target: Path) -> None:
    """What people have made in Grafana, written through its interface, with queries of the lab's Prometheus."""
    with started(target, GRAFANA_PASSWORD) as grafana:
        seed(grafana.url, GRAFANA_PASSWORD, PROMETHEUS)
    for path in tree_paths(target):
        os.chown(path, GRAFANA_USER, GRAFANA_USER)


def log_lines(begin: int, end: int) -> dict[Labels, list[Entry]]:
    """What the gateway and the applications have logged after the begin, as many lines in every hour."""
    requests = LOKI.labels({"job": "gateway", "host": "win"})
    notes = LOKI.labels({"job": "podman", "container": "app-notes"})
    files = LOKI.labels({"job": "podman", "container": "app-files"})
    return {
        requests: [
            (
                time * 10**9,
                f'10.20.0.{time % 200} "GET /notes/{time % 977}" {502 if time % 61 == 0 else 200} {time % 5003}',
            )
            for time in range(begin + 1, end + 1)
        ],
        notes: [(time * 10**9, f"ノート {time % 977} を保存しました") for time in range(begin + 1, end + 1, 5)],
        files: [
            (time * 10**9, f"sent /small/{time % 50:02}/{time % 3000:04}.json")
            for time in range(begin + 1, end + 1, 10)
        ],
    }


def make_uploads(target: Path) -> None:
    """What people have uploaded, with the names that they gave it."""
    for number in range(UPLOADS):
        directory = target / f"{number % 12 + 1}月"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"議事録 第{number + 1:02}回.txt").write_text(f"第{number + 1}回の議事録\n" * (number + 1))
    for path in tree_paths(target):
        os.chown(path, 33, 33)
        os.utime(path, (BEGIN, BEGIN))


def make_application_files(target: Path) -> None:
    """Everything that a careless copy loses: owners, modes, ACLs, attributes, links, holes, names."""
    target.mkdir(parents=True)
    chance = random.Random(20240502)
    make_bulk(target, chance)
    make_names(target / "names")
    make_permissions(target / "permissions")
    make_links(target / "links")
    (target / "empty directory").mkdir()
    os.mkfifo(target / "fifo", 0o640)
    with (target / "sparse.img").open("wb") as file:
        file.write(b"begin")
        file.seek(512 * 1024 * 1024)
        file.write(b"end")
    for path in tree_paths(target):
        os.utime(path, ns=(BEGIN * 10**9, BEGIN * 10**9 + 123_456_789), follow_symlinks=False)


def make_bulk(target: Path, chance: random.Random) -> None:
    """One big file and thousands of small ones."""
    with (target / "video.bin").open("wb") as file:
        for _mebibyte in range(BIG_FILE_MIB):
            file.write(chance.randbytes(1024 * 1024))
    for number in range(SMALL_FILES):
        directory = target / "small" / f"{number % 50:02}"
        directory.mkdir(parents=True, exist_ok=True)
        content = {"id": number, "text": chance.randbytes(40).hex()}
        (directory / f"{number:04}.json").write_text(f"{json.dumps(content)}\n")


def make_names(target: Path) -> None:
    """Names that break careless scripts."""
    target.mkdir()
    names = [
        "two words",
        "日本語の名前.txt",
        "new\nline",
        "-rf",
        "--delete",
        "back\\slash",
        "trailing blank ",
        " leading blank",
        "quote'double\"quote",
        "tab\there",
        "$HOME `id` *",
        "#comment",
        "é in one character",
        "e\u0301 in two characters",
        "x" * 255,
    ]
    for name in names:
        (target / name).write_text(f"{name}\n")
    for raw in (b"latin1-\xe9", b"broken-\xff\xfe"):
        (target / os.fsdecode(raw)).write_bytes(raw)


def make_permissions(target: Path) -> None:
    """Owners, modes, ACLs and extended attributes."""
    target.mkdir()
    for name, owner, group, mode in (
        ("setuid", 0, 0, 0o4755),
        ("setgid", 1000, 1000, 0o2755),
        ("unreadable", 1000, 1000, 0o000),
        ("read-only", 33, 33, 0o444),
        ("unknown owner", 123456, 654321, 0o640),
    ):
        path = target / name
        path.write_text(f"{name}\n")
        os.chown(path, owner, group)
        path.chmod(mode)
    for name, mode in (("sticky", 0o1777), ("setgid directory", 0o2770), ("closed", 0o700)):
        directory = target / name
        directory.mkdir()
        directory.chmod(mode)
        (directory / "inside").write_text("inside\n")
    (target / "acl").write_text("acl\n")
    (target / "default acl").mkdir()
    setfacl(target / "acl", "user:1001:rw-,group:2002:r--")
    setfacl(target / "default acl", "default:user:1001:rwx,default:group:2002:r-x")
    (target / "attributes").write_text("attributes\n")
    os.setxattr(target / "attributes", "user.flatnet.origin", "東京".encode())
    os.setxattr(target / "attributes", "user.flatnet.binary", bytes(range(256)))
    os.setxattr(target / "default acl", "user.flatnet.directory", b"yes")


def setfacl(path: Path, entries: str) -> None:
    """Set ACL entries with the program that operators use."""
    call("setfacl", "-m", entries, path)


def make_links(target: Path) -> None:
    """Symbolic links that point inside, outside and nowhere, and hard links."""
    target.mkdir()
    (target / "file").write_text("file\n")
    (target / "hard link").hardlink_to(target / "file")
    (target / "relative").symlink_to("file")
    (target / "to a directory").symlink_to("../names")
    (target / "absolute").symlink_to("/etc/hostname")
    (target / "outside").symlink_to("../../../../etc/passwd")
    (target / "dangling").symlink_to("nowhere")
    (target / "long").symlink_to("y" * 1000)
