# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab keeps its promises: a true host, real data, nothing left behind, and hands off the machine's clock."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.lab import Host, Lab
from tests.lab import image as lab_image
from tests.lab.image.data import GRAFANA_PASSWORD, tree_paths
from tests.lab.lab import sweep
from tests.lab.machine import LabError, lock, remove_tree, try_lock, wait_until
from tests.lab.standins.grafana.client import Client, basic

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[2]
NAME = f"test-{os.getpid()}"
# Whoever is started in the background ignores an interrupt.
OWNER = """
import signal, sys, time
from tests.lab import Lab
signal.signal(signal.SIGINT, signal.default_int_handler)
with Lab(sys.argv[1]) as lab:
    lab.new_host("wsl1", seed="empty", start=False)
    print("ready", flush=True)
    time.sleep(600)
"""
RUN_GATEWAY = """
mkdir -p /run/gateway/logs
cp -r /mnt/c/openresty/conf /run/gateway/
ln -s /usr/lib/nginx/modules /run/gateway/modules
nginx -p /run/gateway -c conf/nginx.conf -e logs/error.log -g 'include /etc/nginx/modules-enabled/*.conf;'
curl --silent --fail http://127.0.0.1/healthz
kill "$(cat /run/nginx.pid)"
"""
SETS_THE_CLOCK = re.compile(
    r"\bdate\s+(-\S+\s+)*(-s|--set)\b|timedatectl\s+set-time|hwclock\s+\S*(-w|-s|--set|--hctosys)|settimeofday"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(NAME) as lab:
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab.new_host("wsl1")


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """Another process that owns a lab with one host."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, f"{NAME}-b"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()
    sweep()


def person(command: str, name: str) -> subprocess.CompletedProcess[str]:
    """What a person types."""
    argv = [sys.executable, "-m", "tests.lab", command, "--name", name]
    # The gateway beside it has tests of its own.
    environment = {**os.environ, "FLATNET_LAB_POWERSHELL": "/nowhere"}
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def describe(tree: Path) -> dict[str, object]:
    """Everything about each file that a copy has to keep, except its content."""
    described: dict[str, object] = {}
    for path in tree_paths(tree)[1:]:
        state = path.lstat()
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in listxattr(path)}
        described[str(path.relative_to(tree))] = (
            (state.st_mode, state.st_uid, state.st_gid, state.st_nlink, state.st_mtime_ns),
            attributes,
            path.readlink() if path.is_symlink() else state.st_size * (not path.is_dir()),
        )
    return described


def listxattr(path: Path) -> list[str]:
    return os.listxattr(path, follow_symlinks=False)


def last_line(path: Path) -> int:
    return int(path.read_text().splitlines()[-1])


def loki_streams(host: Host) -> list[dict[str, str]]:
    listed = host.get(
        "loki", "/loki/api/v1/series", **{"match[]": '{job=~".+"}', "start": "1", "end": str(time.time_ns())}
    )
    streams: list[dict[str, str]] = listed["data"]
    return streams


def restart_loki(host: Host) -> None:
    host.run(["podman", "start", "flatnet-loki"])
    wait_until("Readiness of Loki", partial(host.ready, "loki"), 30)


def container_states(host: Host) -> dict[str, str]:
    listed = json.loads(host.output("podman", "ps", "--all", "--format", "json"))
    return {container["Names"][0]: container["State"] for container in listed}


def grafana_client(host: Host) -> Client:
    return Client(host.url("grafana"), basic("admin", GRAFANA_PASSWORD))


def test_ansible_reaches_the_host(lab: Lab, host: Host) -> None:
    argv = [
        str(Path(sys.executable).with_name("ansible")),
        "wsl",
        "-i",
        str(lab.inventory),
        "-m",
        "ansible.builtin.ping",
    ]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert f"{host.name} | SUCCESS" in result.stdout, result.stdout + result.stderr


def test_prometheus_scrapes_the_stack(host: Host) -> None:
    def all_up() -> bool:
        targets = host.get("prometheus", "/api/v1/targets")["data"]["activeTargets"]
        return [target["health"] for target in targets] == ["up"] * 3

    wait_until("A first scrape of all targets", all_up, 20)


def test_prometheus_holds_a_real_amount(host: Host) -> None:
    assert host.samples() >= 1_500_000
    blocks = [path.parent for path in host.volume("prometheus_data").glob("*/meta.json")]
    assert len(blocks) >= 4


def test_loki_holds_the_lines_of_a_day_in_several_streams(host: Host) -> None:
    assert host.lines(24) >= 100_000
    assert len(loki_streams(host)) >= 3
    assert len(list((host.volume("loki_data") / "chunks").rglob("*"))) > 400


def test_the_lines_of_loki_survive_a_kill(host: Host) -> None:
    lines = host.lines(24)
    host.run(["podman", "kill", "--signal=KILL", "flatnet-loki"])
    restart_loki(host)
    assert host.lines(24) == lines


def test_grafana_shows_what_prometheus_says(host: Host) -> None:
    client = grafana_client(host)
    assert len(client.get("/api/search?type=dash-db&limit=5000")) > 200
    panel = client.get("/api/dashboards/uid/overview-ops")["dashboard"]["panels"][0]
    asked = urllib.parse.urlencode({"query": panel["targets"][0]["expr"]})
    source = f"/api/datasources/proxy/uid/{panel['datasource']['uid']}"

    def scraped() -> bool:
        return bool(client.get(f"{source}/api/v1/query?{asked}")["data"]["result"])

    wait_until("A first scrape", scraped, 20)


def test_dashboards_survive_a_kill(host: Host) -> None:
    board = {"id": None, "uid": "kept", "title": "Kept"}
    grafana_client(host).send("POST", "/api/dashboards/db", {"dashboard": board})
    host.run(["podman", "kill", "--signal=KILL", "flatnet-grafana"])
    host.run(["podman", "start", "flatnet-grafana"])
    wait_until("Readiness of Grafana", partial(host.ready, "grafana"), 30)
    assert grafana_client(host).get("/api/dashboards/uid/kept")["dashboard"]["title"] == "Kept"


@pytest.mark.parametrize(
    ("part", "recent_lost", "older_lost"), [("wal", True, False), ("tsdb-shipper-active", False, True)]
)
def test_loki_loses_the_lines_of_a_part_that_is_missing(
    host: Host, part: str, recent_lost: bool, older_lost: bool
) -> None:
    recent, day = host.lines(2), host.lines(24)
    data = host.volume("loki_data")
    host.run(["podman", "stop", "flatnet-loki"])
    (data / part).rename(data / "away")
    restart_loki(host)
    assert (host.lines(2) < recent) == recent_lost
    assert (host.lines(24) - host.lines(2) < day - recent) == older_lost
    assert host.lines(24) > day / 3
    host.run(["podman", "stop", "flatnet-loki"])
    remove_tree(data / part)
    (data / "away").rename(data / part)
    restart_loki(host)
    assert host.lines(24) == day


def test_loki_is_not_ready_at_first(host: Host) -> None:
    configuration = "/opt/flatnet/monitoring/loki.yml:/etc/loki/loki.yml:ro"
    started = ["podman", "run", "--detach", "--name", "loki-slow", "--network", "flatnet", "--publish", "3101:3100"]
    options = ["--env", "LOKI_READY_SECONDS=600", "--volume", configuration]
    host.run([*started, *options, "localhost/loki:3.4.2-standin", "-config.file=/etc/loki/loki.yml"])
    asked = ["curl", "--silent", "--retry", "9", "--retry-connrefused", "http://127.0.0.1:3101/services"]
    assert "ingester => Running" in host.output(*asked)
    assert "waiting for 15s" in host.output("curl", "--silent", "http://127.0.0.1:3101/ready")
    host.run(["podman", "rm", "--force", "loki-slow"])


def test_a_fresh_host_has_no_admin_api(host: Host) -> None:
    request = urllib.request.Request(f"{host.url('prometheus')}/api/v1/admin/tsdb/snapshot", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=10)
    assert json.load(refusal.value)["error"] == "admin APIs disabled"


def test_seed_is_a_true_copy(lab: Lab, host: Host) -> None:
    assert describe(host.volume("app_files_data")) == describe(lab.image.data / "app_files_data")


def test_files_are_hard_to_copy(host: Host) -> None:
    root = host.volume("app_files_data")
    names = {path.name for path in (root / "names").iterdir()}
    assert {
        "日本語の名前.txt",
        "new\nline",
        "-rf",
        "back\\slash",
        "trailing blank ",
        os.fsdecode(b"latin1-\xe9"),
    } <= names
    assert (root / "permissions" / "setuid").stat().st_mode & stat.S_ISUID
    assert (root / "permissions" / "unknown owner").stat().st_uid == 123456
    assert "system.posix_acl_default" in listxattr(root / "permissions" / "default acl")
    assert os.getxattr(root / "permissions" / "attributes", "user.flatnet.origin").decode() == "東京"
    assert (root / "links" / "file").stat().st_nlink == 2
    assert not (root / "links" / "dangling").exists()
    assert stat.S_ISFIFO((root / "fifo").lstat().st_mode)
    sparse = (root / "sparse.img").stat()
    assert sparse.st_blocks * 512 < sparse.st_size / 1000
    assert (root / "video.bin").stat().st_size == 200 * 1024 * 1024
    assert not list((root / "empty directory").iterdir())


def test_pause_stops_the_notes_between_two_writes(host: Host) -> None:
    notes = host.volume("app_notes_data")
    host.run(["podman", "pause", "app-notes"])
    paused = last_line(notes / "journal")
    time.sleep(0.5)
    assert container_states(host)["app-notes"] == "paused"
    assert last_line(notes / "journal") == paused
    assert last_line(notes / "copy") in (paused, paused - 1)
    host.run(["podman", "unpause", "app-notes"])
    wait_until("A new note", lambda: last_line(notes / "journal") > paused, 5)


def test_flatnet_is_the_network_of_the_containers(host: Host) -> None:
    address = "{{.NetworkSettings.Networks.flatnet.IPAddress}}"
    assert host.output("podman", "inspect", "--format", address, "flatnet-prometheus") == "10.100.0.10"
    assert json.loads(host.output("env", "CNI_COMMAND=VERSION", "/opt/cni/bin/flatnet-cni"))["flatnetVersion"]


def test_the_gateway_configuration_runs_in_nginx_with_lua(host: Host) -> None:
    assert host.output("sh", "-euc", RUN_GATEWAY) == "ok"


def test_a_person_on_the_host_has_ansible_and_the_collection(host: Host) -> None:
    host.install_collection()
    listed = host.output("ansible-playbook", "--inventory=localhost,", "--list-tasks", "flatnet.ops.backups")
    assert "Refuse a pattern that matches no host" in listed


def test_an_application_serves_a_bind_mount(host: Host) -> None:
    path = "1月/議事録 第01回.txt"
    assert host.output("podman", "exec", "app-uploads", "cat", f"/srv/{path}") == "第1回の議事録"
    assert host.output("stat", "--format=%U", f"/srv/app-uploads/{path}") == "www-data"


def test_the_gateway_reaches_an_application(host: Host) -> None:
    assert host.output("curl", "--silent", "--fail", "http://127.0.0.1:8080/links/file") == "file"


def test_reboot_keeps_the_disk_and_stops_the_containers(host: Host) -> None:
    host.write("/root/kept", b"kept")
    host.reboot()
    assert host.read("/root/kept") == b"kept"
    assert "running" not in container_states(host).values()
    host.start_stack()
    assert set(container_states(host).values()) == {"running"}
    assert host.samples() >= 1_500_000


def test_small_disk_fills_up(host: Host) -> None:
    host.small_disk("/mnt/small", mib=1)
    result = host.run(["dd", "if=/dev/zero", "of=/mnt/small/file", "bs=1M", "count=2"], check=False)
    assert b"No space left on device" in result.stderr


def test_no_way_out(host: Host) -> None:
    assert b"unreachable" in host.run(["ip", "route", "get", "203.0.113.1"], check=False).stderr


def test_yesterday_is_a_day_late(host: Host) -> None:
    late = time.time() - float(host.output("python3-yesterday", "-c", "import time; print(time.time())"))
    assert 86_390 < late < 86_410


def test_the_host_cannot_set_the_clock(host: Host) -> None:
    setting = "import time; time.clock_settime(time.CLOCK_REALTIME, time.time())"
    assert b"PermissionError" in host.run(["python3", "-c", setting], check=False).stderr


def test_no_script_of_ours_sets_the_clock() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    scripts = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name and not name.endswith(b".md")]
    assert Path(__file__).resolve() in scripts
    found = [
        f"{path}: {match.group()}"
        for path in scripts
        if path.is_file() and path != Path(__file__).resolve()
        for match in SETS_THE_CLOCK.finditer(path.read_text(errors="replace"))
    ]
    assert not found


def test_backups_outlive_a_destroyed_host(lab: Lab) -> None:
    doomed = lab.new_host("doomed", seed="empty", start=False)
    doomed.write("/backup/kept", b"kept")
    doomed.destroy()
    assert not doomed.directory.exists()
    assert "doomed" not in lab.inventory.read_text()
    with pytest.raises(LabError, match="no host 'doomed'"):
        lab.host("doomed")
    spare = lab.new_host("spare", group="drill", seed="empty", admin_api=True)
    assert spare.read("/backup/kept") == b"kept"
    assert spare.lines(24) == 0
    assert "spare" in json.loads(lab.inventory.read_text())["all"]["children"]["drill"]["hosts"]
    assert not list(spare.volume("app_files_data").iterdir())
    request = urllib.request.Request(f"{spare.url('prometheus')}/api/v1/admin/tsdb/snapshot", method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["status"] == "success"
    spare.run(["podman", "pause", "app-notes"])
    spare.destroy()


def test_a_lab_goes_when_its_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), Lab(f"{NAME}-c") as lab:
        directory = lab.directory
        assert directory.exists()
        raise ZeroDivisionError
    assert not directory.exists()


def test_a_name_in_use_is_refused(owner: subprocess.Popen[str]) -> None:
    with pytest.raises(LabError, match="Another process uses the lab"), Lab(f"{NAME}-b"):
        pass
    assert owner.poll() is None
    assert Lab(f"{NAME}-b").host("wsl1").output("hostname") == "wsl1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_owner_cleans_up(owner: subprocess.Popen[str], number: signal.Signals) -> None:
    owner.send_signal(number)
    assert owner.wait(timeout=30) != 0
    assert not Lab(f"{NAME}-b").exists()


def test_a_killed_owner_is_swept(owner: subprocess.Popen[str]) -> None:
    orphan = Lab(f"{NAME}-b")
    host_process = Path("/proc") / orphan.podman("inspect", "--format", "{{.State.Pid}}", "wsl1")
    bridge = Path("/sys/class/net") / next(orphan.podman.run.glob("network-*")).name.replace("network-", "flatnetlab")
    owner.kill()
    owner.wait()
    assert host_process.exists()
    assert bridge.exists()
    sweep()
    assert not host_process.exists()
    assert not bridge.exists()
    assert not orphan.exists()
    assert not orphan.podman.run.exists()


def test_a_person_keeps_a_lab() -> None:
    name = f"{NAME}-d"
    made = person("up", name)
    try:
        assert made.returncode == 0, made.stderr
        assert re.search(r"prometheus +http://127.0.0.1:\d+ ready", made.stdout)
        assert made.stdout.count("no gateway: FLATNET_LAB_POWERSHELL names /nowhere") == 1
        sweep()
        with pytest.raises(LabError, match="kept for a person"), Lab(name):
            pass
        assert "app-notes" in person("status", name).stdout
    finally:
        assert person("down", name).returncode == 0
    assert not Lab(name).exists()
    assert person("shell", name).returncode == 1


def test_old_images_go_except_those_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_image, "CACHE", tmp_path)
    monkeypatch.setattr(lab_image, "LABS", tmp_path / "labs")
    for age, name in enumerate(["lab-new", "lab-second", "lab-used", "lab-old", ".lab-partial.1"]):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "labs" / "dev").mkdir(parents=True)
    (tmp_path / "labs" / "dev" / "image").symlink_to(tmp_path / "lab-used")
    lab_image.remove_old_images()
    assert {path.name for path in tmp_path.iterdir()} == {"lab-new", "lab-second", "lab-used", "labs"}


def test_a_lock_is_free_again_when_its_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path):
        assert try_lock(path) is None
    descriptor = try_lock(path)
    assert descriptor is not None
    os.close(descriptor)


def test_a_mounted_tree_is_removed(tmp_path: Path) -> None:
    mounted = tmp_path / "tree" / "mounted"
    mounted.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "lab-test", mounted], check=True)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
