# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_state import LiveFile, digest_of
from ansible_collections.flatnet.ops.plugins.plugin_utils.gateway_tree import TreeRefused, change, check

pytestmark = pytest.mark.unit

FIRST = b"http {\n    server {\n        include flatnet/identity.conf;\n    }\n}\n"
BOM = b"\xef\xbb\xbf"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def live(**contents: bytes) -> dict[str, LiveFile]:
    """Files as they lie on the gateway, beside nginx.conf."""
    files = {"nginx.conf": FIRST, **contents}
    return {
        path: LiveFile(sha256(content), sha256(content.replace(b"\r\n", b"\n")), b"\r\n" in content)
        for path, content in files.items()
    }


def test_the_same_tree_changes_nothing() -> None:
    found = change({"nginx.conf": FIRST}, live(), purge=True)

    assert not found.anything
    assert found.generation == digest_of({"nginx.conf": sha256(FIRST)})


def test_line_ends_alone_change_nothing_and_the_generation_is_of_what_lies_there() -> None:
    windows = b"a;\r\nb;\r\n"
    found = change({"nginx.conf": FIRST, "a": b"a;\nb;\n"}, live(a=windows), purge=False)

    assert not found.anything
    assert found.generation == digest_of({"nginx.conf": sha256(FIRST), "a": sha256(windows)})


def test_a_file_that_is_replaced_keeps_its_line_ends() -> None:
    found = change({"nginx.conf": FIRST, "a": b"a;\nc;\n"}, live(a=b"a;\r\nb;\r\n"), purge=False)

    assert found.changed == ("a",)
    assert found.contents == {"a": b"a;\r\nc;\r\n"}
    assert found.generation == digest_of({"nginx.conf": sha256(FIRST), "a": sha256(b"a;\r\nc;\r\n")})


@pytest.mark.parametrize(
    "content", [BOM + "# コメント\n".encode(), "# 設定\n".encode("cp932"), b"\x00\r\n\x01", b"\tno end"]
)
def test_what_is_new_is_carried_byte_by_byte(content: bytes) -> None:
    found = change({"nginx.conf": FIRST, "new": content}, live(), purge=False)

    assert found.added == ("new",)
    assert found.contents == {"new": content}


def test_no_line_end_is_put_into_what_is_no_text() -> None:
    found = change({"nginx.conf": FIRST, "a": b"\0\n2"}, live(a=b"x\r\n1"), purge=False)

    assert found.contents == {"a": b"\0\n2"}


def test_where_every_byte_counts_line_ends_do_and_are_put_back() -> None:
    tree = {"nginx.conf": FIRST, "a": b"a;\nb;\n"}
    found = change(tree, live(a=b"a;\r\nb;\r\n"), purge=True, exact=True)

    assert (found.changed, found.contents) == (("a",), {"a": b"a;\nb;\n"})
    assert not change(tree, live(a=b"a;\nb;\n"), purge=True, exact=True).anything


def test_what_is_not_in_the_tree_stays_unless_it_is_to_go() -> None:
    files = live(other=b"x")

    assert not change({"nginx.conf": FIRST}, files, purge=False).anything
    found = change({"nginx.conf": FIRST}, files, purge=True)
    assert found.removed == ("other",)
    assert found.generation == digest_of({"nginx.conf": sha256(FIRST)})
    assert found.sentence == "1 removed (other)"


def test_another_case_of_a_name_is_the_same_file() -> None:
    found = change({"nginx.conf": FIRST, "Conf.d/A.conf": b"2"}, live(**{"conf.d/a.conf": b"1"}), purge=True)

    assert (found.added, found.changed, found.removed) == ((), ("Conf.d/A.conf",), ())
    assert found.generation == digest_of({"nginx.conf": sha256(FIRST), "conf.d/a.conf": sha256(b"2")})


@pytest.mark.parametrize(
    "line",
    [
        "include flatnet/identity.conf;",
        "include flatnet/identity*.conf;",
        '  include "flatnet/identity.conf" ;',
        "server { include flatnet/*.conf;",
    ],
)
def test_the_answer_that_proves_a_rollout_is_found(line: str) -> None:
    check({"nginx.conf": b"", "conf.d/a": f"# x\n{line}\r\n".encode()})


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"conf/nginx.conf": FIRST}, "a tree with nginx.conf at its top was expected, and it has conf/nginx.conf"),
        ({}, "and it has no file"),
        (
            {"nginx.conf": b"# include flatnet/identity.conf;\n"},
            "put 'include flatnet/identity*.conf;' into that server",
        ),
        ({"nginx.conf": FIRST, "Flatnet/wsl.conf": b""}, "the tree has Flatnet/wsl.conf: remove it"),
        ({"nginx.conf": FIRST, "a.conf": b"", "A.conf": b""}, "A.conf and a.conf are one file on Windows"),
        ({"nginx.conf": FIRST, "aux.conf": b""}, "aux.conf has 'aux.conf': give it another name"),
        ({"nginx.conf": FIRST, "a:b": b""}, "has 'a:b'"),
        ({"nginx.conf": FIRST, "d./a": b""}, "has 'd.'"),
    ],
)
def test_what_cannot_be_a_configuration_is_refused_by_name(tree: dict[str, bytes], words: str) -> None:
    with pytest.raises(TreeRefused) as caught:
        check(tree)

    assert words in str(caught.value)
