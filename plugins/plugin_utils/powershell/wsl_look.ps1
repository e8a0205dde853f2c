# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Which distributions of WSL an account has, and whether one is being kept; waits for that if told to. Nothing is decided.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Account,
    [Parameter(Mandatory = $true)][string]$Task,
    [Parameter(Mandatory = $true)][string]$Log,
    [Parameter(Mandatory = $true)][AllowEmptyString()][string]$Before,
    [Parameter(Mandatory = $true)][int]$WaitSeconds
)
Set-StrictMode -Version 2.0

$Utf8 = New-Object System.Text.UTF8Encoding $false
$System = [Environment]::GetFolderPath('System')

# The lookup of a name asks a domain controller where there is one; who we are is known without.
function Get-Sid([string]$Name) {
    $me = [System.Security.Principal.WindowsIdentity]::GetCurrent()
    if ($Name -eq $me.Name -or $Name -eq $me.Name.Split('\')[-1]) { return $me.User.Value }
    if ($Name.StartsWith('.\')) { $Name = $env:COMPUTERNAME + $Name.Substring(1) }
    try {
        (New-Object System.Security.Principal.NTAccount $Name).Translate([System.Security.Principal.SecurityIdentifier]).Value
    } catch [System.Security.Principal.IdentityNotMappedException] {
        $null
    }
}

# Distributions belong to accounts, and lie in the part of the registry that is there while its account is logged on.
function Get-Distribution([string]$Sid) {
    $lxss = [Microsoft.Win32.Registry]::Users.OpenSubKey("$Sid\Software\Microsoft\Windows\CurrentVersion\Lxss")
    if ($null -eq $lxss) { return }
    try {
        foreach ($name in $lxss.GetSubKeyNames()) {
            $key = $lxss.OpenSubKey($name)
            try {
                $called = $key.GetValue('DistributionName')
                if ($null -ne $called) { @{ name = [string]$called; flags = [int]$key.GetValue('Flags', 0) } }
            } finally {
                $key.Dispose()
            }
        }
    } finally {
        $lxss.Dispose()
    }
}

function Test-Loaded([string]$Sid) {
    $hive = [Microsoft.Win32.Registry]::Users.OpenSubKey($Sid)
    if ($null -eq $hive) { return $false }
    $hive.Dispose()
    $true
}

function Test-Held([string]$Path) {
    if (-not [System.IO.File]::Exists($Path)) { return $false }
    try {
        (New-Object System.IO.FileStream $Path, 'Open', 'Read', 'Read').Dispose()
        $false
    } catch [System.IO.IOException] {
        $true
    }
}

function Read-Log([string]$Path) {
    if (-not [System.IO.File]::Exists($Path)) { return '' }
    $file = New-Object System.IO.FileStream $Path, 'Open', 'Read', 'ReadWrite, Delete'
    try {
        (New-Object System.IO.StreamReader $file, $Utf8).ReadToEnd()
    } finally {
        $file.Dispose()
    }
}

# The log first: an attempt that ends between the two looks is seen to have ended.
function Get-Kept {
    $text = Read-Log $Log
    @{ log = $text; held = (Test-Held $Log) }
}

$sid = Get-Sid $Account
$loaded = $false
$distributions = @()
if ($null -ne $sid) {
    $loaded = Test-Loaded $sid
    $distributions = @(Get-Distribution $sid)
}
$program = $null
foreach ($path in [System.IO.Path]::Combine([Environment]::GetFolderPath('ProgramFiles'), 'WSL', 'wsl.exe'), [System.IO.Path]::Combine($System, 'wsl.exe')) {
    if ($null -eq $program -and [System.IO.File]::Exists($path)) { $program = $path }
}
$kept = [System.IO.Path]::Combine($System, 'Tasks', $Task)
$xml = $null
if ([System.IO.File]::Exists($kept)) { $xml = [System.IO.File]::ReadAllText($kept) }
$waited = [System.Diagnostics.Stopwatch]::StartNew()
$seen = Get-Kept
while ($waited.Elapsed.TotalSeconds -lt $WaitSeconds) {
    # It is up; or an attempt has failed since the log was as before, and the next one will, too.
    $come = if ($seen.held) { '"event":"up"' } else { '"event":"end"' }
    if ($seen.log -ne $Before -and $seen.log.Contains($come)) { break }
    [System.Threading.Thread]::Sleep(250)
    $seen = Get-Kept
}

$Ansible.Changed = $false
$Ansible.Result = @{
    sid = $sid
    loaded = $loaded
    distributions = $distributions
    program = $program
    task = $xml
    held = $seen.held
    log = $seen.log
}
