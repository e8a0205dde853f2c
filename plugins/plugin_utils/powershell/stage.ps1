# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Puts a configuration beside the live one: that one, with some files written and others left out; and tries it with nginx if asked to.
# What an earlier call has put there and nobody has made a plan for, it removes.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Prefix,
    [Parameter(Mandatory = $true)][string]$Staged,
    [Parameter(Mandatory = $true)][string]$Transactions,
    [Parameter(Mandatory = $true)][hashtable]$Contents,
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][string[]]$Removed,
    [Parameter(Mandatory = $true)][AllowEmptyString()][string]$Identity,
    [Parameter(Mandatory = $true)][AllowEmptyString()][string]$Program
)
Set-StrictMode -Version 2.0

$Utf8 = New-Object System.Text.UTF8Encoding $false
$Live = [System.IO.Path]::Combine($Prefix, 'conf')
$Ours = [System.IO.Path]::Combine($Live, 'flatnet') + '\'
# The folder of one rollout; its name is the transaction's.
$Folder = [System.IO.Path]::GetDirectoryName($Staged)
# Within so many minutes another controller may yet deposit the plan of its tree.
$ForgottenMinutes = 10

function Get-Place([string]$Folder, [string]$Path) {
    [System.IO.Path]::Combine($Folder, $Path.Replace('/', '\'))
}

function Write-New([string]$Path, [byte[]]$Bytes) {
    [void][System.IO.Directory]::CreateDirectory([System.IO.Path]::GetDirectoryName($Path))
    $file = New-Object System.IO.FileStream $Path, 'Create', 'Write', 'None'
    try {
        $file.Write($Bytes, 0, $Bytes.Length)
        $file.Flush($true)
    } finally {
        $file.Dispose()
    }
}

function Invoke-Test {
    [void][System.IO.Directory]::CreateDirectory([System.IO.Path]::Combine($Prefix, 'logs'))
    $configuration = [System.IO.Path]::Combine($Staged, 'nginx.conf')
    $start = New-Object System.Diagnostics.ProcessStartInfo $Program, "-t -p `"$Prefix`" -c `"$configuration`""
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [System.Diagnostics.Process]::Start($start)
    try {
        $said = $process.StandardError.ReadToEndAsync()
        [void]$process.StandardOutput.ReadToEnd()
        $process.WaitForExit()
        @{ code = $process.ExitCode; said = $said.Result.Trim() }
    } finally {
        $process.Dispose()
    }
}

function Remove-Forgotten([string]$Trees) {
    if (-not [System.IO.Directory]::Exists($Trees)) { return }
    foreach ($tree in [System.IO.Directory]::GetDirectories($Trees)) {
        $id = [System.IO.Path]::GetFileName($tree)
        if ($tree -eq $Folder -or $id -notmatch '^\d{8}T\d{6}Z-rollout-[0-9a-f]{8}$') { continue }
        # One with a plan goes with its transaction; one with an old tree had a plan.
        $asked = [System.IO.Path]::Combine($Transactions, $id)
        if ([System.IO.File]::Exists("$asked\plan.json") -or [System.IO.File]::Exists("$asked\journal") -or [System.IO.Directory]::Exists("$tree\old")) { continue }
        if (([DateTime]::UtcNow - [System.IO.Directory]::GetLastWriteTimeUtc($tree)).TotalMinutes -lt $ForgottenMinutes) { continue }
        try {
            [System.IO.Directory]::Delete($tree, $true)
        } catch [System.IO.IOException], [System.UnauthorizedAccessException] {
            # Somebody looks at it; the next rollout finds it.
            continue
        }
    }
}

$before = @{}
$gone = New-Object 'System.Collections.Generic.HashSet[string]' ([StringComparer]::OrdinalIgnoreCase)
foreach ($path in $Removed) { [void]$gone.Add((Get-Place $Live $path)) }
foreach ($path in $Contents.Keys) { [void]$gone.Add((Get-Place $Live $path)) }
$tested = $null
$whole = $false
try {
    if ([System.IO.Directory]::Exists($Live)) {
        foreach ($path in [System.IO.Directory]::GetFiles($Live, '*', 'AllDirectories')) {
            if ($path.StartsWith($Ours, 'OrdinalIgnoreCase')) { continue }
            $name = $path.Substring($Live.Length + 1)
            $file = New-Object System.IO.FileStream $path, 'Open', 'Read', 'ReadWrite, Delete'
            try {
                $bytes = New-Object byte[] ([int]$file.Length)
                $done = 0
                while ($done -lt $bytes.Length) {
                    $count = $file.Read($bytes, $done, $bytes.Length - $done)
                    if ($count -eq 0) { throw "$path was expected to stay as it is while it is read, and was cut short" }
                    $done += $count
                }
            } finally {
                $file.Dispose()
            }
            if ($gone.Contains($path)) {
                $before[$name.Replace('\', '/')] = [Convert]::ToBase64String($bytes)
            } else {
                Write-New (Get-Place $Staged $name) $bytes
            }
        }
    }
    foreach ($path in $Contents.Keys) { Write-New (Get-Place $Staged $path) ([Convert]::FromBase64String($Contents[$path])) }
    if ($Program) {
        Write-New (Get-Place $Staged 'flatnet/identity.conf') $Utf8.GetBytes($Identity)
        $tested = Invoke-Test
    }
    $whole = $true
} finally {
    # What was only tried is not left behind; neither is the half of a tree.
    if (($Program -or -not $whole) -and [System.IO.Directory]::Exists($Folder)) { [System.IO.Directory]::Delete($Folder, $true) }
}
if (-not $Program) { Remove-Forgotten ([System.IO.Path]::GetDirectoryName($Folder)) }
$Ansible.Changed = -not $Program
$Ansible.Result = @{ before = $before; tested = $tested }
