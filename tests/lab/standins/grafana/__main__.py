# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: `python3 -m grafana`, told by the environment what Grafana itself is told by it."""

from __future__ import annotations

import os
import signal
import sys
import urllib.parse
from pathlib import Path

from .control import Control
from .server import Grafana, Server
from .store import Store


def main() -> None:
    """Serve until SIGTERM; what was answered is in the file by then."""
    told = os.environ.get
    below = told("GF_SERVER_SERVE_FROM_SUB_PATH") == "true"
    prefix = urllib.parse.urlsplit(told("GF_SERVER_ROOT_URL", "")).path.rstrip("/") if below else ""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
    store = Store(Path(told("GF_PATHS_DATA", "/var/lib/grafana")))
    grafana = Grafana(store, told("GF_SECURITY_ADMIN_PASSWORD", "admin"))
    Server(("", int(told("GF_SERVER_HTTP_PORT", "3000"))), grafana, Control(), prefix).serve_forever()


if __name__ == "__main__":
    main()
