# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Ends every process of a gateway at once, as a crash would.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Program
)
Set-StrictMode -Version 2.0

$ended = New-Object System.Collections.ArrayList
foreach ($process in [System.Diagnostics.Process]::GetProcessesByName('nginx')) {
    try {
        if ($process.MainModule.FileName -ne $Program) { continue }
        $process.Kill()
        [void]$process.WaitForExit(5000)
        [void]$ended.Add($process.Id)
    } catch [System.InvalidOperationException] {
        # It has ended meanwhile.
        continue
    } catch [System.ComponentModel.Win32Exception] {
        # Another account's, or one that is ending.
        continue
    }
}
$Ansible.Changed = $ended.Count -gt 0
$Ansible.Result = @{ ended = @($ended) }
