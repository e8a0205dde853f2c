# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

<#
Puts the logs of a gateway aside, and has nginx begin new ones. The scheduled task flatnet-log-rotation runs it every hour; it lies in
the state directory.

A log is put aside by the first run of a day, and by any run that finds it too large: it is renamed to NAME.<UTC>, and nginx, which goes
on writing to it, is told to open NAME again. Only a log that some program writes to is put aside. Where no new one comes, the old one
gets its name back. What was put aside so many days ago is deleted. A run that died in the middle is finished by the next one.

What came of it is in log_rotation.json. Exit code: 0 all is well, 1 the problem is named there.
#>
param(
    [Parameter(Mandatory = $true)][string] $Prefix,
    [Parameter(Mandatory = $true)][AllowEmptyString()][string] $Logs,
    [Parameter(Mandatory = $true)][int] $KeepDays,
    [Parameter(Mandatory = $true)][long] $MaxMegabytes
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$SharingViolation = -2147024864
$StampFormat = "yyyyMMdd'T'HHmmss'Z'"
$Invariant = [Globalization.CultureInfo]::InvariantCulture
$Utf8 = New-Object Text.UTF8Encoding $false
# A transaction that begins meanwhile waits for twenty seconds.
$Seconds = 10
$result = [ordered]@{ at = [DateTime]::UtcNow.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", $Invariant); rotated = @(); removed = @(); problem = $null }

function Fail([string] $why) {
    throw (New-Object InvalidOperationException $why)
}

function Test-Shared($record) {
    return $record.Exception.GetBaseException().HResult -eq $SharingViolation
}

function Wait-Until([double] $seconds, [scriptblock] $isMet) {
    $waited = [Diagnostics.Stopwatch]::StartNew()
    while (-not (& $isMet)) {
        if ($waited.Elapsed.TotalSeconds -ge $seconds) { return $false }
        [Threading.Thread]::Sleep(50)
    }
    return $true
}

# Whether some program has a file open to write to it. A worker of nginx may keep its first error log so, and never write to it again.
function Test-Held([string] $path) {
    try {
        [IO.File]::Open($path, 'Open', 'Read', 'Read').Dispose()
        return $false
    } catch [IO.FileNotFoundException] {
        return $false
    } catch [IO.IOException] {
        if (Test-Shared $_) { return $true }
        throw
    }
}

# What was put aside of a log by its name alone, the newest first.
function Get-Aside([string] $log) {
    $found = @()
    foreach ($path in [IO.Directory]::GetFiles([IO.Path]::GetDirectoryName($log), [IO.Path]::GetFileName($log) + '.*')) {
        $at = New-Object DateTime
        $stamp = $path.Substring([Math]::Min($path.Length, $log.Length + 1))
        if (-not [DateTime]::TryParseExact($stamp, $StampFormat, $Invariant, 'AssumeUniversal', [ref] $at)) { continue }
        $found += [pscustomobject]@{ Path = $path; At = $at }
    }
    return , @($found | Sort-Object At -Descending)
}

function Test-Due([string] $log, $aside) {
    $length = (New-Object IO.FileInfo $log).Length
    if ($length -ge $MaxMegabytes * 1MB) { return $length -gt 0 }
    return $length -gt 0 -and ($aside.Count -eq 0 -or $aside[0].At.Date -lt [DateTime]::Today)
}

# nginx -s reopen signals this event as well. But it reads the configuration first, which somebody may be editing, and the pid file.
function Get-Master {
    $events = @()
    foreach ($process in [Diagnostics.Process]::GetProcessesByName('nginx')) {
        try {
            if (-not $process.MainModule.FileName.StartsWith("$Prefix\", 'OrdinalIgnoreCase')) { continue }
        } catch [ComponentModel.Win32Exception], [InvalidOperationException] {
            # Another account's, or it has just ended.
            continue
        }
        $handle = $null
        try {
            if ([Threading.EventWaitHandle]::TryOpenExisting("Global\ngx_reopen_$($process.Id)", [ref] $handle)) { $events += $handle }
        } catch [UnauthorizedAccessException] {
            Fail "the nginx with PID $($process.Id) was expected to be told to open its logs again, and Windows denied access: it was started by another account; restart the gateway with flatnet.ops.stop and flatnet.ops.start; nothing was put aside"
        }
    }
    return , $events
}

function Undo-Rename($renamed) {
    foreach ($each in $renamed) {
        if (-not [IO.File]::Exists($each.Log)) { [IO.File]::Move($each.Aside, $each.Log) }
    }
}

function Move-Log($due, $unfinished) {
    $masters = Get-Master
    if ($masters.Count -eq 0) {
        Fail "a master of nginx was expected below $Prefix to open its logs again, and there is none, though $(@($due + $unfinished) -join ' and ') is written to: look with flatnet.ops.status; nothing was put aside"
    }
    $stamp = [DateTime]::UtcNow.ToString($StampFormat, $Invariant)
    $renamed = @()
    try {
        foreach ($log in $due) {
            [IO.File]::Move($log, "$log.$stamp")
            $renamed += [pscustomobject]@{ Log = $log; Aside = "$log.$stamp" }
        }
    } catch [IO.IOException], [UnauthorizedAccessException] {
        Undo-Rename $renamed
        Fail "$log was expected to be renamed, and Windows said '$($_.Exception.GetBaseException().Message)': close the program that holds it; nothing was put aside"
    }
    foreach ($master in $masters) {
        $null = $master.Set()
        $master.Dispose()
    }
    $missing = { $due + $unfinished | Where-Object { -not [IO.File]::Exists($_) } }
    if (-not (Wait-Until $Seconds { @(& $missing).Count -eq 0 })) {
        $names = @(& $missing) -join ' and '
        Undo-Rename $renamed
        Fail "nginx was expected to open $names again within $Seconds s, and has not: the old file has its name back and nothing is lost; look at its last lines, and whether the disk is full"
    }
    $script:result.rotated = @($renamed | ForEach-Object { $_.Aside })
}

function Remove-Old([string] $log) {
    $aside = Get-Aside $log
    foreach ($each in $aside) {
        if ($each.At -ge [DateTime]::Now.AddDays(-$KeepDays) -or (Test-Held $each.Path)) { continue }
        [IO.File]::Delete($each.Path)
        $script:result.removed += $each.Path
    }
}

function Invoke-Rotation {
    $due = @()
    $unfinished = @()
    $all = @($Logs.Split([char[]] '|', [StringSplitOptions]::RemoveEmptyEntries) | ForEach-Object { [IO.Path]::Combine($Prefix, $_) })
    foreach ($log in $all) {
        if (-not [IO.Directory]::Exists([IO.Path]::GetDirectoryName($log))) { continue }
        $aside = Get-Aside $log
        if ([IO.File]::Exists($log)) {
            if ((Test-Held $log) -and (Test-Due $log $aside)) { $due += $log }
        } elseif ($aside.Count -gt 0 -and (Test-Held $aside[0].Path)) {
            $unfinished += $log
        }
    }
    if ($due.Count -gt 0 -or $unfinished.Count -gt 0) { Move-Log $due $unfinished }
    foreach ($log in $all) {
        if ([IO.Directory]::Exists([IO.Path]::GetDirectoryName($log))) { Remove-Old $log }
    }
}

function Write-Result {
    $path = Join-Path $PSScriptRoot 'log_rotation.json'
    $beside = "$path.flatnet-new"
    [IO.File]::WriteAllText($beside, (ConvertTo-Json -InputObject $result -Compress), $Utf8)
    if ([IO.File]::Exists($path)) { [IO.File]::Replace($beside, $path, [NullString]::Value) } else { [IO.File]::Move($beside, $path) }
}

# A transaction proves by the end of the error log that a reload was good: it must not be put aside meanwhile. The next hour comes.
try {
    $lock = New-Object IO.FileStream (Join-Path $PSScriptRoot 'transactions\lock'), 'OpenOrCreate', 'ReadWrite', 'Read'
} catch [IO.IOException] {
    if (Test-Shared $_) { exit 0 }
    throw
}
try {
    # What a transaction that died has left there would be taken for its name.
    $lock.SetLength(0)
    Invoke-Rotation
} catch {
    $why = $_.Exception
    $result.problem = if ($why -is [InvalidOperationException] -and $null -eq $why.InnerException) { $why.Message } else { "$($why.GetBaseException().Message) (rotate_logs.ps1, line $($_.InvocationInfo.ScriptLineNumber))" }
} finally {
    $lock.Dispose()
}
Write-Result
if ($null -ne $result.problem) { exit 1 }
exit 0
