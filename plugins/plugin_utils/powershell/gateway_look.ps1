# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What is known of a gateway, and nothing decided: its processes, its port, its files, its tasks.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Prefix,
    [Parameter(Mandatory = $true)][string]$State,
    [Parameter(Mandatory = $true)][int]$Port,
    [Parameter(Mandatory = $true)][string[]]$Tasks,
    [Parameter(Mandatory = $true)][int]$ErrorLines,
    [Parameter(Mandatory = $true)][int]$TimeoutSeconds,
    # Name those who listen on the port in any case.
    [bool]$Named = $false
)
Set-StrictMode -Version 2.0

$Utf8 = New-Object System.Text.UTF8Encoding $false
$Bytewise = [System.Text.Encoding]::GetEncoding('iso-8859-1')
# A gateway that has run for weeks has a long log; what went wrong last lies in its end.
$TailBytes = 262144

# Other programs hold these files open, and write to them.
function Read-Bytes([string]$Path, [long]$Most) {
    try {
        $file = New-Object System.IO.FileStream $Path, 'Open', 'Read', 'ReadWrite, Delete'
    } catch [System.Management.Automation.MethodInvocationException] {
        $why = $_.Exception.GetBaseException().Message
        throw "$Path was expected to be readable, and Windows said '$why': close the program that holds it, or look at its permissions"
    }
    try {
        [void]$file.Seek([Math]::Max([long]0, $file.Length - $Most), 'Begin')
        $bytes = New-Object byte[] ([int]($file.Length - $file.Position))
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

# nginx's master makes this event to be signalled by; its workers make none.
function Test-Master([int]$Id) {
    try {
        [System.Threading.EventWaitHandle]::OpenExisting("Global\ngx_stop_$Id").Dispose()
        $true
    } catch [System.Threading.WaitHandleCannotBeOpenedException] {
        $false
    } catch [System.UnauthorizedAccessException] {
        $true
    }
}

function Get-Gateway {
    foreach ($process in [System.Diagnostics.Process]::GetProcessesByName('nginx')) {
        $path = $null
        $started = $null
        try {
            $path = $process.MainModule.FileName
            $started = $process.StartTime.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ')
        } catch [System.ComponentModel.Win32Exception] {
            # Another account's process: its id is all that may be known.
            $path = $null
        } catch [System.InvalidOperationException] {
            # It has ended meanwhile.
            continue
        }
        @{ pid = $process.Id; path = $path; started = $started; master = (Test-Master $process.Id) }
    }
}

# The gateway itself says who answers, asked on this host, past every proxy. A socket is enough for that, and is at hand at once.
function Get-Answer {
    $client = New-Object System.Net.Sockets.TcpClient
    $client.SendTimeout = 1000 * $TimeoutSeconds
    $client.ReceiveTimeout = 1000 * $TimeoutSeconds
    $buffer = New-Object byte[] 4096
    $count = 0
    try {
        $client.Connect([System.Net.IPAddress]::Loopback, $Port)
        $stream = $client.GetStream()
        $question = $Utf8.GetBytes("GET /.flatnet/whoami HTTP/1.0`r`nHost: 127.0.0.1:$Port`r`n`r`n")
        $stream.Write($question, 0, $question.Length)
        do {
            $more = $stream.Read($buffer, $count, $buffer.Length - $count)
            $count += $more
        } while ($more -gt 0 -and $count -lt $buffer.Length)
    } catch [System.Management.Automation.MethodInvocationException] {
        return @{ status = $null; body = $null; problem = $_.Exception.GetBaseException().Message }
    } finally {
        $client.Dispose()
    }
    $text = $Utf8.GetString($buffer, 0, $count)
    if ($text -notmatch '^HTTP/\d\.\d (\d{3})') { return @{ status = $null; body = $null; problem = 'no HTTP' } }
    $status = [int]$Matches[1]
    $head, $body = $text -split "`r`n`r`n", 2
    @{ status = $status; body = "$body".Substring(0, [Math]::Min(200, "$body".Length)); problem = $null }
}

function Test-Listening {
    $listeners = [System.Net.NetworkInformation.IPGlobalProperties]::GetIPGlobalProperties().GetActiveTcpListeners()
    @($listeners | Where-Object { $_.Port -eq $Port }).Count -gt 0
}

# Only a stranger has to be looked up: the compiler takes longer than everything else here.
function Get-Owner {
    Add-Type -TypeDefinition @'
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Flatnet
{
    public static class Listeners
    {
        [DllImport("iphlpapi.dll")]
        private static extern int GetExtendedTcpTable(IntPtr table, ref int size, bool sorted, int family, int kind, int reserved);

        public static int[] Owners(int port)
        {
            List<int> owners = new List<int>();
            Collect(owners, port, 2, 24, 8, 20);
            Collect(owners, port, 23, 56, 20, 52);
            return owners.ToArray();
        }

        private static void Collect(List<int> owners, int port, int family, int row, int portAt, int ownerAt)
        {
            int size = 0;
            GetExtendedTcpTable(IntPtr.Zero, ref size, false, family, 3, 0);
            IntPtr table = Marshal.AllocHGlobal(size);
            try
            {
                if (GetExtendedTcpTable(table, ref size, false, family, 3, 0) != 0) { return; }
                int count = Marshal.ReadInt32(table);
                for (int number = 0; number < count; number++)
                {
                    int at = 4 + number * row;
                    int there = (Marshal.ReadByte(table, at + portAt) << 8) | Marshal.ReadByte(table, at + portAt + 1);
                    if (there == port) { owners.Add(Marshal.ReadInt32(table, at + ownerAt)); }
                }
            }
            finally
            {
                Marshal.FreeHGlobal(table);
            }
        }
    }
}
'@
    foreach ($id in [Flatnet.Listeners]::Owners($Port) | Sort-Object -Unique) {
        if ($id -eq 0) { continue }
        $name = $null
        try {
            $name = [System.Diagnostics.Process]::GetProcessById($id).ProcessName
        } catch [System.ArgumentException] {
            # It has ended meanwhile.
            continue
        }
        @{ pid = $id; name = $name }
    }
}

function Get-Hex([byte[]]$Bytes) {
    [System.BitConverter]::ToString($Bytes).Replace('-', '').ToLowerInvariant()
}

function Get-Configuration([string]$Conf) {
    if (-not [System.IO.Directory]::Exists($Conf)) { return }
    $ours = [System.IO.Path]::Combine($Conf, 'flatnet') + '\'
    $sum = [System.Security.Cryptography.SHA256]::Create()
    try {
        foreach ($path in [System.IO.Directory]::GetFiles($Conf, '*', 'AllDirectories')) {
            if ($path.StartsWith($ours, 'OrdinalIgnoreCase')) { continue }
            $bytes = Read-Bytes $path ([int]::MaxValue)
            # Each byte one character: what the file is encoded in is no matter here.
            $text = $Bytewise.GetString($bytes)
            $windows = $text.Contains("`r`n") -and -not $text.Contains("`0")
            $own = Get-Hex $sum.ComputeHash($bytes)
            @{
                path = $path.Substring($Conf.Length + 1).Replace('\', '/')
                sha256 = $own
                windows = $windows
                unified = if ($windows) { Get-Hex $sum.ComputeHash($Bytewise.GetBytes($text.Replace("`r`n", "`n"))) } else { $own }
            }
        }
    } finally {
        $sum.Dispose()
    }
}

function Get-Errors([string]$Log) {
    if (-not [System.IO.File]::Exists($Log)) { return }
    $lines = $Utf8.GetString((Read-Bytes $Log $TailBytes)).Split("`n")
    $bad = @($lines | Where-Object { $_ -match ' \[(error|crit|alert|emerg)\] ' } | ForEach-Object { $_.TrimEnd("`r") })
    $bad | Select-Object -Last $ErrorLines
}

# The scheduler keeps each task here, in UTF-16; its commands would answer in the language of the host.
function Get-Task([string]$Name) {
    $path = [System.IO.Path]::Combine($env:SystemRoot, 'System32', 'Tasks', $Name)
    $xml = $null
    if ([System.IO.File]::Exists($path)) { $xml = [System.IO.File]::ReadAllText($path) }
    @{ name = $Name; xml = $xml }
}

# The transaction that has the lock in hand; a name in a lock that nobody holds is that of one that died.
function Get-Holder([string]$Directory) {
    $lock = [System.IO.Path]::Combine($Directory, 'lock')
    if (-not [System.IO.File]::Exists($lock)) { return '' }
    try {
        (New-Object System.IO.FileStream $lock, 'Open', 'Read', 'Read').Dispose()
        ''
    } catch [System.IO.IOException] {
        $Utf8.GetString((Read-Bytes $lock 1024))
    }
}

# Every one that was begun and has not ended, and the last one that has and was not refused.
function Get-Transaction([string]$Directory) {
    if (-not [System.IO.Directory]::Exists($Directory)) { return }
    $ended = $false
    foreach ($path in [System.IO.Directory]::GetDirectories($Directory) | Sort-Object -Descending) {
        $id = [System.IO.Path]::GetFileName($path)
        $journal = [System.IO.Path]::Combine($path, 'journal')
        if ($id.StartsWith('.') -or -not [System.IO.File]::Exists($journal)) { continue }
        $text = $Utf8.GetString((Read-Bytes $journal ([int]::MaxValue)))
        if (-not $text) { continue }
        if ($text -match '(?m)^\{"n":\d+,"at":"[^"]+","event":"end","outcome":"(\w+)".*\}\n') {
            if ($ended -or $Matches[1] -eq 'refused') { continue }
            $ended = $true
        }
        @{ id = $id; journal = $text }
    }
}

# What 'nginx -v' prints lies in the program in one piece, which need not be started for it.
function Get-Version([string]$Path) {
    if (-not [System.IO.File]::Exists($Path)) { return $null }
    $text = $Bytewise.GetString((Read-Bytes $Path ([int]::MaxValue)))
    $at = $text.IndexOf('nginx version: ', [System.StringComparison]::Ordinal)
    if ($at -lt 0) { return $null }
    $text.Substring($at, [Math]::Min(100, $text.Length - $at)).Split([char[]]"`r`n`0")[0]
}

# The holder before the journals: a transaction that ends between the two looks is seen to have ended.
$transactions = [System.IO.Path]::Combine($State, 'transactions')
$holder = Get-Holder $transactions
$journals = @(Get-Transaction $transactions)
$gateways = @(Get-Gateway)
$listening = Test-Listening
$answer = $null
if ($listening) { $answer = Get-Answer }
$owners = @()
if ($listening -and ($Named -or $gateways.Count -eq 0)) { $owners = @(Get-Owner) }
$program = [System.IO.Path]::Combine($Prefix, 'nginx.exe')
if ($gateways.Count -gt 0 -and $gateways[0].path) { $program = $gateways[0].path }
$pidFile = [System.IO.Path]::Combine($Prefix, 'logs', 'nginx.pid')
$written = $null
if ([System.IO.File]::Exists($pidFile)) { $written = $Utf8.GetString((Read-Bytes $pidFile 64)).Trim() }

$Ansible.Changed = $false
# As one text: what carries the answer takes longer to go through its parts than all this looking.
$Ansible.Result = ConvertTo-Json -Depth 6 -Compress -InputObject @{
    installed = [System.IO.Directory]::Exists($Prefix)
    processes = $gateways
    listening = $listening
    answer = $answer
    owners = $owners
    pid_file = $written
    program = $program
    version = (Get-Version $program)
    configuration = @(Get-Configuration ([System.IO.Path]::Combine($Prefix, 'conf')))
    errors = @(Get-Errors ([System.IO.Path]::Combine($Prefix, 'logs', 'error.log')))
    tasks = @($Tasks | ForEach-Object { Get-Task $_ })
    holder = $holder
    transactions = $journals
}
