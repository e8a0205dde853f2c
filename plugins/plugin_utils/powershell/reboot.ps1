# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Has Windows restart in a few seconds, when this answer has left.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][int]$Seconds
)
Set-StrictMode -Version 2.0

$path = [System.IO.Path]::Combine([Environment]::GetFolderPath('System'), 'shutdown.exe')
$start = New-Object System.Diagnostics.ProcessStartInfo $path, "/r /t $Seconds /d p:4:1"
$start.UseShellExecute = $false
$start.CreateNoWindow = $true
$start.RedirectStandardOutput = $true
$start.RedirectStandardError = $true
$process = [System.Diagnostics.Process]::Start($start)
try {
    $problems = $process.StandardError.ReadToEndAsync()
    $out = $process.StandardOutput.ReadToEnd()
    $process.WaitForExit()
    if ($process.ExitCode -ne 0) { throw "Windows was expected to restart, and shutdown.exe ended with $($process.ExitCode), '$(($out + $problems.Result).Trim())'; nothing was changed" }
} finally {
    $process.Dispose()
}
$Ansible.Changed = $true
$Ansible.Result = @{ seconds = $Seconds }
