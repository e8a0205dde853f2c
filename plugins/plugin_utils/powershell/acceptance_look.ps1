# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What only a real Windows can show of itself, and nothing decided: each fact with its value, or why it cannot be looked at here.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Program,
    [Parameter(Mandatory = $true)][string]$Account,
    [Parameter(Mandatory = $true)][string[]]$Tasks,
    [Parameter(Mandatory = $true)][string[]]$Closed,
    [Parameter(Mandatory = $true)][string]$Keeper,
    [Parameter(Mandatory = $true)][string]$Rule,
    [Parameter(Mandatory = $true)][string]$Text
)
Set-StrictMode -Version 2.0

$Utf8 = New-Object System.Text.UTF8Encoding $false
$System = [Environment]::GetFolderPath('System')
$Culture = [System.Globalization.CultureInfo]::InvariantCulture
$Sid = [System.Security.Principal.SecurityIdentifier]
$facts = @{}

function Add-Fact([string]$Name, [scriptblock]$Look) {
    try {
        $facts[$Name] = @{ value = (& $Look); problem = $null }
    } catch {
        $facts[$Name] = @{ value = $null; problem = $_.Exception.GetBaseException().Message }
    }
}

function Format-Time([DateTime]$Time) {
    $Time.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", $Culture)
}

function Get-Value([string]$Path) {
    $values = @{}
    $key = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($Path)
    if ($null -eq $key) { return $values }
    try {
        foreach ($name in $key.GetValueNames()) { $values[$name] = [string]$key.GetValue($name) }
    } finally {
        $key.Dispose()
    }
    $values
}

function Invoke-Program([string]$Path, [string]$Arguments) {
    $start = New-Object System.Diagnostics.ProcessStartInfo $Path, $Arguments
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $process = [System.Diagnostics.Process]::Start($start)
    try {
        $problems = $process.StandardError.ReadToEndAsync()
        $out = $process.StandardOutput.ReadToEnd()
        $process.WaitForExit()
        @{ code = $process.ExitCode; said = ($out + $problems.Result).Trim() }
    } finally {
        $process.Dispose()
    }
}

$began = Format-Time ([DateTime]::UtcNow)

Add-Fact 'kernel' {
    Add-Type -TypeDefinition @'
using System;
using System.Runtime.InteropServices;

namespace Flatnet
{
    public static class Kernel
    {
        [DllImport("kernel32.dll", CharSet = CharSet.Unicode)]
        private static extern IntPtr GetModuleHandle(string name);
        [DllImport("kernel32.dll", CharSet = CharSet.Ansi)]
        private static extern IntPtr GetProcAddress(IntPtr module, string name);
        [DllImport("ntdll.dll")]
        private static extern int NtQuerySystemInformation(int kind, byte[] answer, int size, IntPtr length);

        public static bool IsWine()
        {
            return GetProcAddress(GetModuleHandle("ntdll.dll"), "wine_get_version") != IntPtr.Zero;
        }

        public static DateTime Booted()
        {
            byte[] times = new byte[48];
            int status = NtQuerySystemInformation(3, times, times.Length, IntPtr.Zero);
            if (status != 0) { throw new InvalidOperationException("NtQuerySystemInformation answered " + status); }
            return DateTime.FromFileTimeUtc(BitConverter.ToInt64(times, 0));
        }
    }
}
'@
    @{ wine = [Flatnet.Kernel]::IsWine() }
}

Add-Fact 'booted' { Format-Time ([Flatnet.Kernel]::Booted()) }

Add-Fact 'windows' {
    $values = Get-Value 'SOFTWARE\Microsoft\Windows NT\CurrentVersion'
    @{
        product = $values['ProductName']
        release = $values['DisplayVersion']
        build = [int]$values['CurrentBuild']
        revision = $values['UBR']
        type = $values['InstallationType']
    }
}

Add-Fact 'powershell' {
    @{
        version = $PSVersionTable.PSVersion.ToString()
        edition = [string]$PSVersionTable.PSEdition
        language = [string]$ExecutionContext.SessionState.LanguageMode
        framework = [Environment]::Version.ToString()
        wide = [Environment]::Is64BitProcess
    }
}

Add-Fact 'language' {
    $pages = Get-Value 'SYSTEM\CurrentControlSet\Control\Nls\CodePage'
    @{
        culture = [System.Globalization.CultureInfo]::InstalledUICulture.Name
        ansi = $pages['ACP']
        oem = $pages['OEMCP']
        schtasks = (Invoke-Program ([System.IO.Path]::Combine($System, 'schtasks.exe')) '/Query /TN flatnet-acceptance-absent')
    }
}

# Through a parameter, the name of a file, its content, and back in the answer.
Add-Fact 'text' {
    $folder = [System.IO.Path]::Combine([System.IO.Path]::GetTempPath(), 'flatnet-' + [Guid]::NewGuid().ToString('N'))
    [void][System.IO.Directory]::CreateDirectory($folder)
    try {
        [System.IO.File]::WriteAllText([System.IO.Path]::Combine($folder, $Text), $Text, $Utf8)
        $path = @([System.IO.Directory]::GetFiles($folder))[0]
        @{ given = $Text; name = [System.IO.Path]::GetFileName($path); content = [System.IO.File]::ReadAllText($path, $Utf8) }
    } finally {
        [System.IO.Directory]::Delete($folder, $true)
    }
}

Add-Fact 'accounts' {
    $name = $Account
    if ($name.StartsWith('.\')) { $name = $env:COMPUTERNAME + $name.Substring(1) }
    @{
        account = (New-Object System.Security.Principal.NTAccount $name).Translate($Sid).Value
        own = [System.Security.Principal.WindowsIdentity]::GetCurrent().User.Value
    }
}

Add-Fact 'closed' {
    , @(foreach ($path in $Closed) {
        if (-not [System.IO.File]::Exists($path) -and -not [System.IO.Directory]::Exists($path)) { @{ path = $path; owner = $null; sddl = $null; rules = @() }; continue }
        $acl = Get-Acl -LiteralPath $path
        $rules = @(foreach ($each in $acl.GetAccessRules($true, $true, $Sid)) {
            @{ sid = $each.IdentityReference.Value; allows = [string]$each.AccessControlType -eq 'Allow'; rights = [string]$each.FileSystemRights }
        })
        @{ path = $path; owner = $acl.GetOwner($Sid).Value; sddl = $acl.GetSecurityDescriptorSddlForm('Owner, Access'); rules = $rules }
    })
}

# The scheduler's own interface, in which nothing is translated; the files are what our other scripts read.
Add-Fact 'tasks' {
    $service = New-Object -ComObject Schedule.Service
    $service.Connect()
    $found = @{}
    foreach ($task in $service.GetFolder('\').GetTasks(1)) {
        if ($Tasks -notcontains $task.Name) { continue }
        $found[$task.Name] = @{
            xml = $task.Xml
            enabled = $task.Enabled
            state = [int]$task.State
            last_run = (Format-Time $task.LastRunTime)
            last_result = [long]$task.LastTaskResult
            next_run = (Format-Time $task.NextRunTime)
            missed = [int]$task.NumberOfMissedRuns
        }
    }
    $found
}

Add-Fact 'task_files' {
    $found = @{}
    foreach ($name in $Tasks) {
        $path = [System.IO.Path]::Combine($System, 'Tasks', $name)
        if ([System.IO.File]::Exists($path)) { $found[$name] = [System.IO.File]::ReadAllText($path) }
    }
    $found
}

# Who keeps the gateway, and in which session: only the process table says who has started whom.
Add-Fact 'processes' {
    , @(Get-CimInstance -ClassName Win32_Process -Filter "Name = 'nginx.exe' OR Name = 'powershell.exe'" | ForEach-Object {
        @{
            pid = [int]$_.ProcessId
            parent = [int]$_.ParentProcessId
            session = [int]$_.SessionId
            name = $_.Name
            started = (Format-Time $_.CreationDate)
            keeper = $null -ne $_.CommandLine -and $_.CommandLine.IndexOf($Keeper, [StringComparison]::OrdinalIgnoreCase) -ge 0
        }
    })
}

# Whoever is logged in at a screen, near or far, has one.
Add-Fact 'desktops' { @([System.Diagnostics.Process]::GetProcessesByName('explorer')).Count }

Add-Fact 'nginx' { Invoke-Program $Program '-V' }

# The rules that are in effect now, wherever they come from.
Add-Fact 'firewall' {
    $rules = @(Get-NetFirewallRule -PolicyStore ActiveStore -DisplayName $Rule -ErrorAction SilentlyContinue -ErrorVariable problems)
    foreach ($problem in $problems) {
        if ([string]$problem.CategoryInfo.Category -ne 'ObjectNotFound') { throw $problem }
    }
    $found = @(foreach ($each in $rules) {
        @{
            enabled = [string]$each.Enabled -eq 'True'
            allows = [string]$each.Action -eq 'Allow'
            inward = [string]$each.Direction -eq 'Inbound'
            status = [string]$each.PrimaryStatus
            enforcement = @($each.EnforcementStatus | ForEach-Object { [string]$_ })
            ports = @($each | Get-NetFirewallPortFilter | ForEach-Object { $_.LocalPort } | ForEach-Object { [string]$_ })
        }
    })
    $profiles = @(Get-NetFirewallProfile -PolicyStore ActiveStore | ForEach-Object { @{ name = [string]$_.Name; enabled = [string]$_.Enabled -eq 'True' } })
    @{ rules = $found; profiles = $profiles }
}

Add-Fact 'wsl' {
    $program = [System.IO.Path]::Combine([Environment]::GetFolderPath('ProgramFiles'), 'WSL', 'wsl.exe')
    if ([System.IO.File]::Exists($program)) { [System.Diagnostics.FileVersionInfo]::GetVersionInfo($program).ProductVersion }
}

$Ansible.Changed = $false
$Ansible.Result = @{ began = $began; facts = $facts; ended = (Format-Time ([DateTime]::UtcNow)) }
