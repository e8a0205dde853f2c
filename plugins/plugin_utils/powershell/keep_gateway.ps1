# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

<#
Keeps a gateway, for as long as the scheduled task flatnet-gateway runs it: takes over a master that somebody else has started, or
else starts one, and ends when it ends. The task comes back after a minute.

Exit code: that of nginx, or 0 where another master was watched.
#>
param(
    [Parameter(Mandatory = $true)][string] $Program,
    [Parameter(Mandatory = $true)][string] $Prefix,
    [Parameter(Mandatory = $true)][string] $Configuration
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# nginx's master makes this event to be signalled by; its workers make none.
function Test-Master([int] $id) {
    try {
        [Threading.EventWaitHandle]::OpenExisting("Global\ngx_stop_$id").Dispose()
        return $true
    } catch [Threading.WaitHandleCannotBeOpenedException] {
        return $false
    } catch [UnauthorizedAccessException] {
        return $true
    }
}

function Find-Master {
    foreach ($process in [Diagnostics.Process]::GetProcessesByName([IO.Path]::GetFileNameWithoutExtension($Program))) {
        try {
            if ($process.MainModule.FileName -eq $Program -and (Test-Master $process.Id)) { return $process }
        } catch [ComponentModel.Win32Exception], [InvalidOperationException] {
            # Another account's, or it has just ended.
            continue
        }
    }
}

$master = Find-Master
if ($null -ne $master) {
    $master.WaitForExit()
    exit 0
}
$start = New-Object Diagnostics.ProcessStartInfo $Program, "-p `"$Prefix`" -c `"$Configuration`""
$start.UseShellExecute = $false
$start.CreateNoWindow = $true
$start.WorkingDirectory = $Prefix
$nginx = [Diagnostics.Process]::Start($start)
$nginx.WaitForExit()
exit $nginx.ExitCode
