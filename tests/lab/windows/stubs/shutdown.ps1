# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Stands for shutdown.exe: `/r /t N`, after which the lab's computer goes down and boots.
# Documented: /r, /t, /f, /d [p|u:]xx:yy; that it answers at once, and Windows restarts N seconds later.
# Assumed: that it says nothing and ends with 0.
# Not here: /s, /a and everything else, which is refused; restarts that an application holds up.
. "$PSScriptRoot\lab.ps1"

$words = Get-Argument
$seconds = 30
$restarts = $false
for ($i = 0; $i -lt $words.Count; $i++) {
    switch -Regex ($words[$i]) {
        '^[/-]r$' { $restarts = $true }
        '^[/-]f$' { }
        '^[/-]t$' { $i++; $seconds = [int] $words[$i] }
        '^[/-]d$' { $i++ }
        default { Write-ErrorLine "The lab's shutdown knows no $($words[$i])."; exit 87 }
    }
}
if (-not $restarts) { Write-ErrorLine "The lab's shutdown only restarts: /r."; exit 87 }
[void] (Invoke-Lab @{ do = 'restart'; seconds = $seconds })
exit 0
