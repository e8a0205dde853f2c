# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Adds one line to the record of a run, durably, by one write.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Path,
    [Parameter(Mandatory = $true)][string]$Line
)
Set-StrictMode -Version 2.0

[void][System.IO.Directory]::CreateDirectory([System.IO.Path]::GetDirectoryName($Path))
$bytes = [System.Text.Encoding]::ASCII.GetBytes($Line)
$file = New-Object System.IO.FileStream $Path, 'Append', 'Write', 'Read'
try {
    $file.Write($bytes, 0, $bytes.Length)
    $file.Flush($true)
} finally {
    $file.Dispose()
}
$Ansible.Changed = $true
$Ansible.Result = @{ bytes = $bytes.Length }
