# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Reads every file below a folder, byte for byte; what changes while it is read is not one tree, and is refused.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Folder,
    [Parameter(Mandatory = $true)][long]$MostBytes
)
Set-StrictMode -Version 2.0

# Other programs hold these files open, and write to them.
function Read-Bytes([string]$Path) {
    try {
        $file = New-Object System.IO.FileStream $Path, 'Open', 'Read', 'ReadWrite, Delete'
    } catch [System.Management.Automation.MethodInvocationException] {
        $why = $_.Exception.GetBaseException().Message
        throw "$Path was expected to be readable, and Windows said '$why': close the program that holds it, or look at its permissions"
    }
    try {
        $bytes = New-Object byte[] ([int]$file.Length)
        $done = 0
        while ($done -lt $bytes.Length) {
            $count = $file.Read($bytes, $done, $bytes.Length - $done)
            if ($count -eq 0) { break }
            $done += $count
        }
        [Array]::Resize([ref]$bytes, $done)
        , $bytes
    } finally {
        $file.Dispose()
    }
}

function Get-Listing {
    if (-not [System.IO.Directory]::Exists($Folder)) { throw "a configuration of the gateway was expected in $Folder, and there is no such directory: look at the prefix in the inventory, and at the last rollout with flatnet.ops.status" }
    foreach ($path in [System.IO.Directory]::GetFiles($Folder, '*', 'AllDirectories')) {
        $file = New-Object System.IO.FileInfo $path
        @{ path = $path.Substring($Folder.Length + 1).Replace('\', '/'); bytes = $file.Length; modified = $file.LastWriteTimeUtc.ToFileTimeUtc() }
    }
}

function Get-Mark($Listing) {
    ($Listing | ForEach-Object { "$($_.path) $($_.bytes) $($_.modified)" } | Sort-Object) -join "`n"
}

$listing = @(Get-Listing)
$size = [long]0
foreach ($file in $listing) { $size += $file.bytes }
if ($size -gt $MostBytes) { throw "$Folder was expected to hold at most $MostBytes bytes, which can be handed to another host, and holds ${size}: move out of it what is no configuration" }
foreach ($file in $listing) { $file['content'] = [Convert]::ToBase64String((Read-Bytes ([System.IO.Path]::Combine($Folder, $file.path.Replace('/', '\'))))) }
if ((Get-Mark $listing) -cne (Get-Mark @(Get-Listing))) { throw "$Folder was expected to stay as it is while it is read, and somebody has changed it: run again" }
$directories = @([System.IO.Directory]::GetDirectories($Folder, '*', 'AllDirectories') | ForEach-Object { $_.Substring($Folder.Length + 1).Replace('\', '/') })

$Ansible.Changed = $false
$Ansible.Result = @{ files = $listing; directories = $directories }
