# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

<#
Deposits a plan, has the task flatnet-transaction carry it out, and reads its journal until it has ended or the time to wait is over.

Without -Plan it only waits and reads; with -TakeUp it lets the task take up, or undo, what was cut. In check mode it reads.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [string] $Id,
    [Parameter(Mandatory)] [string] $Root,
    [Parameter(Mandatory)] [string] $Task,
    [string] $Plan = '',
    [string] $Act = '',
    [bool] $TakeUp = $false,
    [int] $Wait = 0
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Utf8 = New-Object Text.UTF8Encoding $false
$Folder = Join-Path $Root $Id

function Write-Whole([string] $path, [string] $text) {
    $beside = "$path.flatnet-new"
    $file = New-Object IO.FileStream $beside, ([IO.FileMode]::Create), ([IO.FileAccess]::Write), ([IO.FileShare]::None)
    try {
        $bytes = $Utf8.GetBytes($text)
        $file.Write($bytes, 0, $bytes.Length)
        $file.Flush($true)
    } finally {
        $file.Dispose()
    }
    if ([IO.File]::Exists($path)) { [IO.File]::Replace($beside, $path, [NullString]::Value) } else { [IO.File]::Move($beside, $path) }
}

function Read-Whole([string] $path) {
    if (-not [IO.File]::Exists($path)) { return '' }
    $sharing = [IO.FileShare]::ReadWrite -bor [IO.FileShare]::Delete
    $file = New-Object IO.FileStream $path, ([IO.FileMode]::Open), ([IO.FileAccess]::Read), $sharing
    try { return (New-Object IO.StreamReader $file, $Utf8).ReadToEnd() } finally { $file.Dispose() }
}

function Get-Holder {
    $path = Join-Path $Root 'lock'
    if (-not [IO.File]::Exists($path)) { return '' }
    try {
        # A name in a lock that nobody holds is that of a transaction that died.
        (New-Object IO.FileStream $path, ([IO.FileMode]::Open), ([IO.FileAccess]::Read), ([IO.FileShare]::Read)).Dispose()
        return ''
    } catch [IO.IOException] {
        return Read-Whole $path
    }
}

function Start-Task {
    $start = New-Object Diagnostics.ProcessStartInfo (Join-Path ([Environment]::GetFolderPath('System')) 'schtasks.exe'), "/Run /TN `"$Task`""
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [Diagnostics.Process]::Start($start)
    $out = $process.StandardOutput.ReadToEndAsync()
    $problems = $process.StandardError.ReadToEndAsync()
    $process.WaitForExit()
    if ($process.ExitCode) {
        throw "task $Task was expected to run, and schtasks ended with $($process.ExitCode), '$(($problems.Result + $out.Result).Trim())': if it is gone or disabled, run playbook flatnet.ops.setup"
    }
}

function Get-Seen {
    # The holder first: a transaction that ends between the two looks is seen to have ended.
    $holder = Get-Holder
    $journal = Read-Whole (Join-Path $Folder 'journal')
    return @{ holder = $holder; journal = $journal; ended = $journal -match '(?m)^\{"n":\d+,"at":"[^"]+","event":"end",.*\}\n' }
}

$changed = $false
if ($Plan -and $PSCmdlet.ShouldProcess($Id, 'carry out')) {
    if (-not [IO.Directory]::Exists($Root)) {
        $null = [IO.Directory]::CreateDirectory($Root)
        # What lies here runs with the highest privileges: nobody but administrators may put anything in.
        $acl = Get-Acl -LiteralPath $Root
        $acl.SetSecurityDescriptorSddlForm('D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
        Set-Acl -LiteralPath $Root -AclObject $acl
    }
    $script = Join-Path $Root 'act.ps1'
    if ((Read-Whole $script) -cne $Act) { Write-Whole $script $Act }
    # Deposited already by a call whose answer was lost.
    if (-not [IO.File]::Exists((Join-Path $Folder 'plan.json'))) {
        $null = [IO.Directory]::CreateDirectory($Folder)
        Write-Whole (Join-Path $Folder 'plan.json') $Plan
        $changed = $true
    }
    if (-not (Get-Seen).journal) {
        try {
            Start-Task
        } catch {
            # What nobody was told of must not come true at the next boot.
            if ($changed) { [IO.File]::Delete((Join-Path $Folder 'plan.json')) }
            throw
        }
    }
} elseif ($TakeUp -and $PSCmdlet.ShouldProcess($Id, 'take up')) {
    Start-Task
    $changed = $true
}

$waited = [Diagnostics.Stopwatch]::StartNew()
$seen = Get-Seen
while (-not $seen.ended -and $waited.Elapsed.TotalSeconds -lt $Wait) {
    [Threading.Thread]::Sleep(100)
    $seen = Get-Seen
}

$unfinished = @()
if ([IO.Directory]::Exists($Root)) {
    foreach ($other in [IO.Directory]::GetDirectories($Root)) {
        $name = [IO.Path]::GetFileName($other)
        if ($name.StartsWith('.') -or $name -eq $Id) { continue }
        $journal = Read-Whole (Join-Path $other 'journal')
        if ($journal -and $journal -notmatch '(?m)^\{"n":\d+,"at":"[^"]+","event":"end",.*\}\n') { $unfinished += $name }
    }
}
$Ansible.Changed = $changed
$Ansible.Result = @{
    id = $Id
    deposited = [IO.File]::Exists((Join-Path $Folder 'plan.json'))
    holder = $seen.holder
    journal = $seen.journal
    unfinished = $unfinished
}
