# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes folders, files and tasks of the scheduler what they are said to be; what is so already is left alone, and nothing is done where
# something is wrong that it must not put right.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][string[]]$Folders,
    [Parameter(Mandatory = $true)][string]$Protected,
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][string[]]$Required,
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][object[]]$Files,
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][object[]]$Tasks,
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][string[]]$Gone,
    [Parameter(Mandatory = $true)][bool]$Check
)
Set-StrictMode -Version 2.0

$Utf8 = New-Object System.Text.UTF8Encoding $false
$System = [Environment]::GetFolderPath('System')
$changed = New-Object System.Collections.ArrayList
$before = @{}
$wrong = New-Object System.Collections.ArrayList

function Write-Whole([string]$Path, [byte[]]$Bytes) {
    $beside = "$Path.flatnet-new"
    $file = New-Object System.IO.FileStream $beside, 'Create', 'Write', 'None'
    try {
        $file.Write($Bytes, 0, $Bytes.Length)
        $file.Flush($true)
    } finally {
        $file.Dispose()
    }
    if ([System.IO.File]::Exists($Path)) { [System.IO.File]::Replace($beside, $Path, [NullString]::Value) } else { [System.IO.File]::Move($beside, $Path) }
}

# The scheduler writes a definition in its own words; this one it leaves alone, and it says which definition of ours it was given.
function Get-Source([string]$Xml) {
    $document = New-Object System.Xml.XmlDocument
    $document.LoadXml($Xml)
    foreach ($source in $document.GetElementsByTagName('Source')) { return $source.InnerText }
}

# What lies here is run with the highest privileges, and below ProgramData everybody may make folders.
function Protect-Folder([string]$Path) {
    $acl = Get-Acl -LiteralPath $Path
    $acl.SetSecurityDescriptorSddlForm('D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
    Set-Acl -LiteralPath $Path -AclObject $acl
}

# What schtasks complains of; empty where it succeeds.
function Invoke-Schtasks([string]$Arguments) {
    $start = New-Object System.Diagnostics.ProcessStartInfo ([System.IO.Path]::Combine($System, 'schtasks.exe')), $Arguments
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [System.Diagnostics.Process]::Start($start)
    try {
        $problems = $process.StandardError.ReadToEndAsync()
        [void]$process.StandardOutput.ReadToEnd()
        $process.WaitForExit()
        if ($process.ExitCode -eq 0) { return '' }
        return "$($problems.Result.Trim()) (code $($process.ExitCode))"
    } finally {
        $process.Dispose()
    }
}

function Set-Task([string]$Name, [string]$Arguments, [string]$Wanted) {
    $said = Invoke-Schtasks $Arguments
    if ($said) { throw "task $Name was expected to be $Wanted, and schtasks said '$said'" }
}

# Whether it ran at all is not known: that it did not is no failure.
function Stop-Task([string]$Name) {
    [void](Invoke-Schtasks "/End /TN `"$Name`"")
}

function Register-Task([string]$Name, [string]$Xml) {
    $definition = [System.IO.Path]::GetTempFileName()
    try {
        [System.IO.File]::WriteAllText($definition, $Xml, [System.Text.Encoding]::Unicode)
        Set-Task $Name "/Create /TN `"$Name`" /XML `"$definition`" /F" 'made'
    } finally {
        [System.IO.File]::Delete($definition)
    }
}

function Get-Kept([string]$Name) {
    $kept = [System.IO.Path]::Combine($System, 'Tasks', $Name)
    if ([System.IO.File]::Exists($kept)) { [System.IO.File]::ReadAllText($kept) }
}

function Install-Everything {
    foreach ($folder in $Folders) {
        if ([System.IO.Directory]::Exists($folder)) { continue }
        [void]$changed.Add($folder)
        if (-not $Check) { [void][System.IO.Directory]::CreateDirectory($folder) }
    }
    if (-not $Check) { Protect-Folder $Protected }
    foreach ($file in $Files) {
        $bytes = $Utf8.GetBytes($file.text)
        if ([System.IO.File]::Exists($file.path)) {
            $old = [System.IO.File]::ReadAllBytes($file.path)
            if ([Convert]::ToBase64String($old) -eq [Convert]::ToBase64String($bytes)) { continue }
            $before[$file.path] = $Utf8.GetString($old)
        }
        [void]$changed.Add($file.path)
        if (-not $Check) { Write-Whole $file.path $bytes }
    }
    foreach ($task in $Tasks) {
        $kept = Get-Kept $task.name
        if ($null -ne $kept) {
            if ((Get-Source $kept) -eq (Get-Source $task.xml)) { continue }
            $before["task $($task.name)"] = $kept
        }
        [void]$changed.Add("task $($task.name)")
        if ($Check) { continue }
        # What runs by the old definition would go on, and keep the new one from being started.
        if ($task.start -and $null -ne $kept) { Stop-Task $task.name }
        Register-Task $task.name $task.xml
        if ($task.start) { Set-Task $task.name "/Run /TN `"$($task.name)`"" 'started' }
    }
    foreach ($name in $Gone) {
        $kept = Get-Kept $name
        if ($null -eq $kept) { continue }
        $before["task $name"] = $kept
        [void]$changed.Add("task $name")
        if ($Check) { continue }
        Stop-Task $name
        Set-Task $name "/Delete /TN `"$name`" /F" 'deleted'
    }
}

foreach ($path in $Required) {
    if (-not [System.IO.File]::Exists($path)) { [void]$wrong.Add(@{ path = $path; wanted = 'file' }) }
}
foreach ($folder in $Folders) {
    if ([System.IO.File]::Exists($folder)) { [void]$wrong.Add(@{ path = $folder; wanted = 'folder' }) }
}
if ($wrong.Count -eq 0) { Install-Everything }
$Ansible.Changed = $changed.Count -gt 0
$Ansible.Result = @{ changed = @($changed); before = $before; wrong = @($wrong) }
