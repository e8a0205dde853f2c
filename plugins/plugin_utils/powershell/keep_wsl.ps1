# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

<#
Keeps a distribution of WSL2, for as long as the scheduled task flatnet-wsl runs it: starts it, and has a process there without which
WSL would end it after a while; ends when that process ends. The task comes back after a minute.

The log tells of this attempt alone, one JSON object a line, and is open for as long as it goes on.

Exit code: that of wsl.exe.
#>
param(
    [Parameter(Mandatory = $true)][string] $Distribution,
    [Parameter(Mandatory = $true)][string] $Log
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Utf8 = New-Object Text.UTF8Encoding $false
$Culture = [Globalization.CultureInfo]::InvariantCulture
# The one in System32 only leads to the other, and fails at that where nobody is logged in.
$Program = [IO.Path]::Combine([Environment]::GetFolderPath('ProgramFiles'), 'WSL', 'wsl.exe')
if (-not [IO.File]::Exists($Program)) { $Program = [IO.Path]::Combine([Environment]::GetFolderPath('System'), 'wsl.exe') }

function Add-Line([hashtable] $line) {
    $line['at'] = [DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ', $Culture)
    $bytes = $Utf8.GetBytes((ConvertTo-Json -InputObject $line -Compress) + "`n")
    $file.Write($bytes, 0, $bytes.Length)
    $file.Flush($true)
}

function Start-Wsl([string] $command) {
    $start = New-Object Diagnostics.ProcessStartInfo $Program, "-d `"$Distribution`" --exec $command"
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $start.StandardOutputEncoding = $Utf8
    $start.StandardErrorEncoding = $Utf8
    $start.EnvironmentVariables['WSL_UTF8'] = '1'
    $process = [Diagnostics.Process]::Start($start)
    return @{ process = $process; out = $process.StandardOutput.ReadToEndAsync(); problems = $process.StandardError.ReadToEndAsync() }
}

# What WSL has started beside it may hold its output open for ever; a WSL that does not know WSL_UTF8 speaks UTF-16.
function Get-Said($started) {
    $started.process.WaitForExit()
    $said = ''
    foreach ($reading in $started.out, $started.problems) { if ($reading.Wait(5000)) { $said += $reading.Result } }
    return $said.Replace("`0", '').Trim()
}

# Not shared for writing: whoever finds it so knows that the distribution is being kept.
$file = New-Object IO.FileStream $Log, ([IO.FileMode]::Create), ([IO.FileAccess]::Write), ([IO.FileShare]::Read)
try {
    Add-Line @{ event = 'begin'; distribution = $Distribution; program = $Program }
    try {
        $kept = Start-Wsl 'sleep infinity'
        $asked = Start-Wsl 'true'
        $said = Get-Said $asked
        if ($asked.process.ExitCode -eq 0) { Add-Line @{ event = 'up' } } else { Add-Line @{ event = 'mute'; code = $asked.process.ExitCode; said = $said } }
        $said = Get-Said $kept
        Add-Line @{ event = 'end'; code = $kept.process.ExitCode; said = $said }
        exit $kept.process.ExitCode
    } catch [ComponentModel.Win32Exception] {
        Add-Line @{ event = 'end'; code = 1; said = $_.Exception.GetBaseException().Message }
        exit 1
    }
} finally {
    $file.Dispose()
}
