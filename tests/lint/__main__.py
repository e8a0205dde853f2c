# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make lint`: all linters side by side; what one finds is shown when it ends."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

from tests.lint import LINTERS


def main() -> int:
    """Run the linters.

    :return: 1 if any of them found something
    """
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(linter.run): linter.name for linter in LINTERS}
        print(f"lint: {', '.join(running.values())} ...", flush=True)
        for future in as_completed(running):
            name, verdict = running[future], future.result()
            if not verdict.passed:
                failed.append(name)
                print(verdict.output, end="")
            for line in verdict.skipped:
                print(f"lint: {name}: {line}")
            print(f"lint: {name} {'passed' if verdict.passed else 'FAILED'} in {verdict.seconds:.1f} s", flush=True)
    print(f"lint: {'FAIL: ' + ', '.join(failed) if failed else 'PASS'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
