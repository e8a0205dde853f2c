# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Deposits a plan and has the scheduler carry it out, or looks at one that was deposited; waits for its end for a while.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Root,
    [Parameter(Mandatory = $true)][string]$Id,
    [Parameter(Mandatory = $true)][string]$Task,
    [Parameter(Mandatory = $true)][AllowEmptyString()][string]$Plan,
    [Parameter(Mandatory = $true)][AllowEmptyString()][string]$ActSha256,
    [Parameter(Mandatory = $true)][int]$Seconds
)
Set-StrictMode -Version 2.0

$Utf8 = New-Object System.Text.UTF8Encoding $false
$Schtasks = [System.IO.Path]::Combine([Environment]::GetFolderPath('System'), 'schtasks.exe')
$Folder = [System.IO.Path]::Combine($Root, $Id)
$SharingViolation = -2147024864

function Read-Shared([string]$Path) {
    if (-not [System.IO.File]::Exists($Path)) { return '' }
    $file = New-Object System.IO.FileStream $Path, 'Open', 'Read', 'ReadWrite, Delete'
    try {
        (New-Object System.IO.StreamReader $file, $Utf8).ReadToEnd()
    } finally {
        $file.Dispose()
    }
}

function Get-Sha256([string]$Path) {
    if (-not [System.IO.File]::Exists($Path)) { return '' }
    $sum = [System.Security.Cryptography.SHA256]::Create()
    try {
        [System.BitConverter]::ToString($sum.ComputeHash([System.IO.File]::ReadAllBytes($Path))).Replace('-', '').ToLowerInvariant()
    } finally {
        $sum.Dispose()
    }
}

# What a killed holder has written stays; only who has the lock open holds it.
function Get-Holder {
    $lock = [System.IO.Path]::Combine($Root, 'lock')
    if (-not [System.IO.File]::Exists($lock)) { return '' }
    try {
        (New-Object System.IO.FileStream $lock, 'Open', 'ReadWrite', 'Read').Dispose()
        ''
    } catch [System.IO.IOException] {
        if ($_.Exception.GetBaseException().HResult -ne $SharingViolation) { throw }
        Read-Shared $lock
    }
}

# Whole or not at all: what has this name is carried out, by whoever comes first.
function Write-Plan {
    [void][System.IO.Directory]::CreateDirectory($Folder)
    $beside = [System.IO.Path]::Combine($Folder, 'plan.new')
    $file = New-Object System.IO.FileStream $beside, 'Create', 'Write', 'None'
    try {
        $bytes = $Utf8.GetBytes($Plan)
        $file.Write($bytes, 0, $bytes.Length)
        $file.Flush($true)
    } finally {
        $file.Dispose()
    }
    [System.IO.File]::Move($beside, [System.IO.Path]::Combine($Folder, 'plan.json'))
}

function Start-Scheduled {
    $start = New-Object System.Diagnostics.ProcessStartInfo $Schtasks, "/Run /TN `"$Task`""
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [System.Diagnostics.Process]::Start($start)
    try {
        $error = $process.StandardError.ReadToEndAsync()
        $output = $process.StandardOutput.ReadToEnd()
        $process.WaitForExit()
        if ($process.ExitCode -ne 0) { ($output + $error.Result).Trim() }
    } finally {
        $process.Dispose()
    }
}

$journal = [System.IO.Path]::Combine($Folder, 'journal')
$refused = $null
$runner = Get-Sha256 ([System.IO.Path]::Combine($Root, 'act.ps1'))
if ($Plan -and $runner -eq $ActSha256) {
    Write-Plan
    $refused = Start-Scheduled
    # A plan that nobody has been told of must not come true at the next boot.
    if ($refused) { [System.IO.Directory]::Delete($Folder, $true) }
}
$waited = [System.Diagnostics.Stopwatch]::StartNew()
$text = Read-Shared $journal
while ([System.IO.Directory]::Exists($Folder) -and $text -notmatch '"event":"end"' -and $waited.Elapsed.TotalSeconds -lt $Seconds) {
    [System.Threading.Thread]::Sleep(50)
    $text = Read-Shared $journal
}
$Ansible.Changed = [bool]$Plan
$Ansible.Result = @{
    deposited = [System.IO.File]::Exists([System.IO.Path]::Combine($Folder, 'plan.json'))
    runner = $runner
    refused = $refused
    journal = $text
    holder = [string](Get-Holder)
}
