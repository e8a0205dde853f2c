# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Has netsh change the firewall, one command after the other, until one fails.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string[]]$Commands
)
Set-StrictMode -Version 2.0

$netsh = [System.IO.Path]::Combine([Environment]::GetFolderPath('System'), 'netsh.exe')
foreach ($command in $Commands) {
    $start = New-Object System.Diagnostics.ProcessStartInfo $netsh, $command
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [System.Diagnostics.Process]::Start($start)
    try {
        # It complains on its output.
        $problems = $process.StandardError.ReadToEndAsync()
        $said = $process.StandardOutput.ReadToEnd()
        $process.WaitForExit()
        if ($process.ExitCode -ne 0) {
            $why = "$said $($problems.Result)".Trim()
            throw "netsh $command was expected to succeed, and ended with $($process.ExitCode), '$why': see whether service mpssvc runs, and run again"
        }
    } finally {
        $process.Dispose()
    }
}
$Ansible.Changed = $true
$Ansible.Result = @{ commands = $Commands.Count }
