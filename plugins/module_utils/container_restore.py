# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the containers of a set again, with what they need, on a host that lacks them; none is started."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from ansible_collections.flatnet.ops.plugins.module_utils import sets, tree
from ansible_collections.flatnet.ops.plugins.module_utils.container_definitions import (
    COMMAND,
    COMPOSE,
    IMAGES,
    INSPECT,
    MADE_BY,
    NETWORKS,
    PODS,
    SOURCE,
    UNIT,
    UNKNOWN,
    VOLUMES,
    Definition,
    Image,
    is_unit_file,
    load,
    load_image,
    load_made_by,
)
from ansible_collections.flatnet.ops.plugins.module_utils.create_command import create_again, create_pod_again
from ansible_collections.flatnet.ops.plugins.module_utils.effects import Effects, run
from ansible_collections.flatnet.ops.plugins.module_utils.errors import (
    CommandFailed,
    NoSuchSet,
    OpsError,
    SetDamaged,
    UsageError,
)
from ansible_collections.flatnet.ops.plugins.module_utils.podman import STOP_SECONDS, Podman
from ansible_collections.flatnet.ops.plugins.module_utils.sets import Area

# The drivers of networks that "podman network create" can make without files of somebody else.
DRIVERS = ("bridge", "ipvlan", "macvlan")


class SavedContainers:
    """The definitions that a set holds; nothing is used whose sum is not the listing's."""

    def __init__(self, area: Area, set_id: str) -> None:
        """:raises NoSuchSet: the set has no definitions"""
        self.set_path = area.path(set_id)
        held = area.manifest(set_id).sources
        if SOURCE not in held:
            raise NoSuchSet(
                f"set {self.set_path} was expected to hold the definitions of containers, and holds {', '.join(held)}: name a"
                " set that has them (playbook flatnet.ops.backups)"
            )
        self._listing = sets.load_listing(self.set_path, SOURCE)
        names = [name.rpartition("/")[0] for name in self._listing if name.endswith(f"/{INSPECT}")]
        self.definitions = {name: self._definition(name) for name in sorted(names)}
        self.images = {image.id: image for image in map(load_image, self._read(IMAGES))}
        self.networks: dict[str, Mapping[str, Any]] = {one["name"]: one for one in self._read(NETWORKS)}
        self.volumes: dict[str, Mapping[str, Any]] = {one["Name"]: one for one in self._read(VOLUMES)}
        self.pods: dict[str, Mapping[str, Any]] = {one["Id"]: one for one in self._read(PODS)}

        self._trees = {
            Path(source.place["path"]): self.set_path / name
            for name, source in held.items()
            if set(source.place) == {"path"}
        }

    def holds(self, directory: Path) -> bool:
        """Whether this directory of the host is in the set, and so comes back once its container is there."""
        return any(
            (saved / directory.relative_to(tree)).is_dir()
            for tree, saved in self._trees.items()
            if tree in (directory, *directory.parents)
        )

    def archive(self, image: Image) -> Path:
        """The file of a saved image, once it was read and found whole."""
        return self._checked(str(image.archive))

    def _definition(self, name: str) -> Definition:
        return Definition(self._read(f"{name}/{INSPECT}"), load_made_by(self._read(f"{name}/{MADE_BY}")))

    def _read(self, name: str) -> Any:
        return load(self._checked(name).read_bytes())

    def _checked(self, name: str) -> Path:
        path = self.set_path / SOURCE / name
        item = self._listing.get(name)
        try:
            found = tree.sha256(bytes(path))
        except OSError as error:
            found = f"cannot be read ({error.strerror})"
        if item is None or item.sha256 != found:
            raise SetDamaged(
                f"{path} was expected to be as it was saved, and is not (SHA-256 {found}): use another set, and see what"
                f" 'sha256sum --quiet -c SHA256SUMS' says in {self.set_path}"
            )
        return path


@dataclass(frozen=True)
class Plan:
    """What has to be made, each kind in its order; ``skipped`` says why a container is left out, by its name."""

    definitions: tuple[Definition, ...]
    images: tuple[Image, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    pods: tuple[Mapping[str, Any], ...]
    skipped: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The containers that will be there."""
        return [one.name for one in self.definitions]


class ContainersRestore:
    """Makes what is missing of one set's containers, and takes it back."""

    def __init__(self, effects: Effects, podman: Podman, saved: SavedContainers) -> None:
        self._effects = effects
        self._podman = podman
        self._saved = saved

    def plan(self, names: Sequence[str] | None) -> Plan:
        """What this host lacks; reads only.

        :param names: the containers that are wanted; all of the set where not given
        :raises UsageError: one is not in the set, cannot be made by this program, or its image is to be had nowhere
        """
        wanted = self._definitions(names)
        missing = [one for one in wanted if not self._is_there(one)]
        skipped = {one.name: one.made_by.problem for one in missing if one.made_by.how == UNKNOWN}
        if skipped and names is not None:
            name, problem = next(iter(skipped.items()))
            raise UsageError(
                f"container {name} of set {self._saved.set_path} was expected to be one that can be made again, and {problem}:"
                f" make it by hand, as {SOURCE}/{name}/{INSPECT} in the set describes it"
            )
        making = self._in_order([one for one in missing if one.name not in skipped])
        return Plan(
            definitions=tuple(making),
            images=tuple(self._images(making)),
            networks=tuple(self._lacking("network", (name for one in making for name in one.networks))),
            volumes=tuple(self._lacking("volume", (name for one in making for name in one.volumes))),
            pods=tuple(self._pods(making)),
            skipped=skipped,
            notes=tuple(self._notes(wanted, making)),
        )

    def make(self, plan: Plan) -> list[str]:
        """Make everything that is planned; on a failure the containers made so far are gone again.

        :return: the containers that are there now and were not before
        :raises UsageError: what another source of the set brings is not there yet; nothing was made
        :raises CommandFailed: Podman, or systemd, refuses
        """
        self._check(plan)
        before = self._names()
        units: list[Definition] = []
        try:
            for image in plan.images:
                self._provide(image)
            for one in plan.definitions:
                if one.image and not self._podman.exists("image", one.image_name):
                    self._effects.run(["podman", "tag", one.image, one.image_name])
            for name in plan.networks:
                self._effects.run(network_command(self._saved.networks[name]))
            for name in plan.volumes:
                self._effects.run(volume_command(self._saved.volumes[name]))
            for one in plan.definitions:
                self._make_places(one)
            for pod in plan.pods:
                self._effects.run(create_pod_again(pod))
            self._compose([one for one in plan.definitions if one.made_by.how == COMPOSE])
            for one in plan.definitions:
                if one.made_by.how == COMMAND:
                    self._create(one)
            for one in plan.definitions:
                if one.made_by.how == UNIT:
                    units.append(one)
                    self._install(one)
        except (OpsError, OSError):
            self.remove(self._definitions(self._new(before)), units)
            raise
        return sorted({*self._new(before), *(one.name for one in units)})

    def to_start(self, names: Sequence[str]) -> list[Definition]:
        """Those of these containers that ran when they were saved and do not run now, in their order."""
        ran = [one for one in self._definitions(names) if one.inspect["State"]["Status"] in ("running", "paused")]
        return [one for one in self._in_order(ran) if not self._runs(one)]

    def start(self, containers: Sequence[Definition]) -> None:
        """Start what :meth:`to_start` has found."""
        for one in containers:
            by_unit = one.made_by.how == UNIT
            self._effects.run(
                ["systemctl", "start", "--", one.made_by.unit] if by_unit else ["podman", "start", one.name]
            )

    def made_since(self, names: Sequence[str], since: float) -> tuple[list[Definition], list[Definition]]:
        """Those of these containers that are there, and those whose unit is.

        :param since: when the run began that made them
        :raises UsageError: one was there before
        """
        definitions = self._definitions(names)
        containers = [one for one in definitions if self._podman.exists("container", one.name)]
        for one in containers:
            if self._podman.created(one.name) < since:
                raise UsageError(
                    f"container {one.name} was expected to be made by this run, and was there before the run opened its set:"
                    " take it off the list; nothing was removed"
                )
        return containers, [one for one in definitions if one.made_by.how == UNIT and self._is_installed(one, since)]

    def remove(self, containers: Sequence[Definition], units: Sequence[Definition]) -> None:
        """Stop and remove containers and units; networks, volumes and images stay."""
        for made_by in (one.made_by for one in units):
            if Path(made_by.unit_files[0].path).exists():
                self._effects.run(["systemctl", "stop", "--", made_by.unit])
                if made_by.enabled:
                    self._effects.run(["systemctl", "disable", "--quiet", "--", made_by.unit])
            for file, text in ((Path(each.path), each.text) for each in made_by.unit_files):
                if _text(file) == text:
                    self._effects.unlink(file)
        if units:
            self._effects.run(["systemctl", "daemon-reload"])
        for one in reversed(self._in_order(containers)):
            # A container of "--rm" goes when it stops.
            if self._podman.exists("container", one.name):
                self._effects.run(["podman", "stop", "--time", str(STOP_SECONDS), one.name])
                self._effects.run(["podman", "rm", "--ignore", one.name])

    def _definitions(self, names: Sequence[str] | None) -> list[Definition]:
        known = self._saved.definitions
        strangers = sorted(set(names or ()) - set(known))
        if strangers:
            raise UsageError(
                f"container {strangers[0]} was expected in set {self._saved.set_path}, which holds"
                f" {', '.join(known) or 'none'}: name one of these"
            )
        return [known[name] for name in sorted(known if names is None else set(names))]

    def _names(self) -> set[str]:
        return {str(one["Name"]) for one in self._podman.described()}

    def _new(self, before: set[str]) -> list[str]:
        """The containers of the set that are there now: compose makes those too that others depend on."""
        return sorted((self._names() - before) & set(self._saved.definitions))

    def _is_there(self, one: Definition) -> bool:
        """A container that its unit makes at each start is there when its unit is."""
        if self._podman.exists("container", one.name):
            return True
        return one.made_by.how == UNIT and Path(one.made_by.unit_files[0].path).exists()

    def _in_order(self, missing: Iterable[Definition]) -> list[Definition]:
        """Each container after those that it cannot be made without."""
        by_id = {str(one.inspect["Id"]): one for one in missing}
        needs = {
            key: [need for need in one.inspect["Dependencies"] or () if need in by_id] for key, one in by_id.items()
        }
        return [by_id[key] for key in TopologicalSorter(needs).static_order()]

    def _images(self, making: Sequence[Definition]) -> Iterator[Image]:
        """The images to load or to name again."""
        lacking = [one for one in making if one.image and not self._podman.exists("image", one.image_name)]
        for one in lacking:
            image = self._saved.images[one.image]
            if not self._podman.exists("image", image.id) and image.archive is None:
                raise UsageError(
                    f"image {one.image_name} ({image.digest}) was expected on this host for container {one.name}, and is neither"
                    f" here nor saved in set {self._saved.set_path}: {_how_to_get(image)}; nothing was made"
                )
        for image_id in sorted({one.image for one in lacking}):
            yield self._saved.images[image_id]

    def _notes(self, wanted: Sequence[Definition], making: Sequence[Definition]) -> Iterator[str]:
        for one in making:
            # By its id, the saved image is still had where its name has gone to another one.
            known = [name for name in (one.image_name, one.image) if name and self._podman.exists("image", name)]
            if known == [one.image_name] and self._podman.image_id(one.image_name) != one.image:
                yield f"{one.name} gets {one.image_name} as it is on this host, which is another image than was saved"
        for one in wanted:
            for file in one.made_by.unit_files:
                if _text(Path(file.path)) not in (None, file.text):
                    yield f"{file.path} is not as it was saved, and stays as it is"

    def _lacking(self, what: str, names: Iterable[str]) -> Iterator[str]:
        saved = self._saved.networks if what == "network" else self._saved.volumes
        for name in sorted(set(names)):
            # A volume without a name of its own is made with its container.
            if name in saved and not saved[name].get("Anonymous") and not self._podman.exists(what, name):
                yield name

    def _pods(self, making: Sequence[Definition]) -> Iterator[Mapping[str, Any]]:
        used = {str(one.inspect.get("Pod")) for one in making if one.made_by.how == COMMAND}
        for pod_id in sorted(used & set(self._saved.pods)):
            pod = self._saved.pods[pod_id]
            if not self._podman.exists("pod", pod["Name"]):
                yield pod

    def _check(self, plan: Plan) -> None:
        for name in plan.networks:
            driver = self._saved.networks[name]["driver"]
            if driver not in DRIVERS:
                raise UsageError(
                    f"network {name} was expected on this host, and is not there; its driver {driver} is described by CNI's own"
                    " files: restore source cni/net.d first; nothing was made"
                )
        for one in plan.definitions:
            for file in one.made_by.files:
                if not Path(file).is_file():
                    raise UsageError(
                        f"the compose file {file} was expected on this host for container {one.name}, and is not there: restore"
                        " the source that holds it first, as stack; nothing was made"
                    )
            for unit_file in one.made_by.unit_files:
                if not is_unit_file(Path(unit_file.path)):
                    raise UsageError(
                        f"the unit of container {one.name} was expected to lie in a directory of units, and set"
                        f" {self._saved.set_path} says {unit_file.path}: use another set; nothing was made"
                    )

    def _provide(self, image: Image) -> None:
        if not self._podman.exists("image", image.id):
            archive = self._saved.archive(image)
            self._effects.run(["podman", "load", "--quiet", "--input", str(archive)])
            if not self._podman.exists("image", image.id):
                raise CommandFailed(
                    f"'podman load --input {archive}' was expected to bring image {image.id}, and brought another one: see what"
                    " 'podman images --no-trunc' shows, and take the image from a registry"
                )
        free = [name for name in image.names if not self._podman.exists("image", name)]
        if free:
            self._effects.run(["podman", "tag", image.id, *free])

    def _compose(self, missing: Sequence[Definition]) -> None:
        projects = {(one.made_by.project, one.made_by.files) for one in missing}
        for project, files in sorted(projects):
            services = sorted(
                {one.made_by.service for one in missing if (one.made_by.project, one.made_by.files) == (project, files)}
            )
            given = [word for file in files for word in ("--file", file)]
            up = ["up", "--no-start", "--no-recreate", "--no-build", *services]
            self._effects.run(["podman-compose", *given, "--project-name", project, *up])
        absent = sorted({one.name for one in missing} - self._names()) if missing else []
        if absent:
            made_by = self._saved.definitions[absent[0]].made_by
            raise CommandFailed(
                f"podman-compose was expected to make container {absent[0]} from {', '.join(made_by.files)}, and has not:"
                f" the file does not define service {made_by.service} as it did; restore the file from the same set"
            )

    def _make_places(self, one: Definition) -> None:
        """Directories that the container mounts, and that the set holds: Podman wants them there, empty as yet."""
        sources = [Path(mount["Source"]) for mount in one.inspect["Mounts"] if mount["Type"] == "bind"]
        for source in sources:
            if not source.exists() and self._saved.holds(source):
                for directory in (*reversed(source.parents), source):
                    self._effects.make_directory(directory, 0o755)

    def _create(self, one: Definition) -> None:
        """Never say the command itself: it may hold secrets."""
        is_moved = self._podman.image_id(one.image_name) != one.image if one.image else False
        image = one.image if is_moved and self._podman.exists("image", one.image) else None
        done = self._effects.run(create_again(one.inspect, image), expect=range(256))
        if done.code:
            raise CommandFailed(
                f"container {one.name} was expected to be made as {self._saved.set_path / SOURCE / one.name / MADE_BY} says, and"
                f" 'podman create' ended with {done.code}: {' '.join(done.stderr.split())[-600:]}; provide what it names, and"
                " restore again"
            )

    def _install(self, one: Definition) -> None:
        for file in one.made_by.unit_files:
            path = Path(file.path)
            for directory in reversed(path.parents):
                self._effects.make_directory(directory, 0o755)
            if not path.exists():
                self._effects.write(path, file.text.encode("utf-8", "surrogateescape"), 0o644)
        self._effects.run(["systemctl", "daemon-reload"])
        if one.made_by.enabled:
            self._effects.run(["systemctl", "enable", "--quiet", "--", one.made_by.unit])

    def _is_installed(self, one: Definition, since: float) -> bool:
        path = Path(one.made_by.unit_files[0].path)
        return is_unit_file(path) and path.is_file() and path.stat().st_ctime >= since

    def _runs(self, one: Definition) -> bool:
        if one.made_by.how == UNIT:
            return run(["systemctl", "is-active", "--quiet", "--", one.made_by.unit], expect=(0, 3, 4)).code == 0
        return self._podman.exists("container", one.name) and self._podman.container(one.name).running


def _text(path: Path) -> str | None:
    return path.read_text("utf-8", "surrogateescape") if path.is_file() else None


def _how_to_get(image: Image) -> str:
    remote = [name for name in image.pull if not name.startswith("localhost/")]
    if remote:
        return f"get it with 'podman pull {remote[0]}', or back up with the images"
    return "build it again or bring it with 'podman load', or back up with the images"


def network_command(network: Mapping[str, Any]) -> list[str]:
    """The command that makes a network as ``podman network inspect`` describes it."""
    argv = ["podman", "network", "create", f"--driver={network['driver']}"]
    subnets = network.get("subnets") or ()
    for subnet in subnets:
        argv.append(f"--subnet={subnet['subnet']}")
        if subnet.get("gateway"):
            argv.append(f"--gateway={subnet['gateway']}")
        leased = subnet.get("lease_range") or {}
        if leased.get("start_ip") and leased.get("end_ip"):
            argv.append(f"--ip-range={_range(leased['start_ip'], leased['end_ip'])}")
    if network.get("internal"):
        argv.append("--internal")
    if network.get("ipv6_enabled"):
        argv.append("--ipv6")
    if network["driver"] == "bridge" and not network.get("dns_enabled"):
        argv.append("--disable-dns")
    if network["driver"] != "bridge" and network.get("network_interface"):
        argv.append(f"--opt=parent={network['network_interface']}")
    argv.extend(f"--label={name}={value}" for name, value in sorted((network.get("labels") or {}).items()))
    argv.extend(f"--opt={name}={value}" for name, value in sorted((network.get("options") or {}).items()))
    return [*argv, str(network["name"])]


def _range(start: str, end: str) -> str:
    """Addresses as Podman takes them: the subnet that it made them of, whose own address is not among them, or both ends."""
    first, last = int(ip_address(start)) - 1, int(ip_address(end))
    whole = ip_network(f"{start}/{ip_address(end).max_prefixlen - (first ^ last).bit_length()}", strict=False)
    return str(whole) if (int(whole[0]), int(whole[-1])) == (first, last) else f"{start}-{end}"


def volume_command(volume: Mapping[str, Any]) -> list[str]:
    """The command that makes an empty volume as ``podman volume inspect`` describes it."""
    argv = ["podman", "volume", "create", f"--driver={volume['Driver']}"]
    argv.extend(f"--label={name}={value}" for name, value in sorted((volume.get("Labels") or {}).items()))
    argv.extend(f"--opt={name}={value}" for name, value in sorted((volume.get("Options") or {}).items()))
    return [*argv, str(volume["Name"])]
