# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Stands for route.exe: the IPv4 routes that somebody adds. Persistent ones lie in the registry where Windows has them, the others
# are forgotten at a reboot.
# Documented, or seen in public reports of the real one: the names of the values of persistent routes, as in
# `10.100.0.0,255.255.0.0,172.28.112.10,1`; "The route addition failed: The object already exists."; the parts of `print`.
# Assumed: ` OK!`, the exit codes, the wording of the other failures; that any gateway is accepted (Windows refuses one out of reach).
# Not here: any effect on traffic, routes of the network cards, IPv6, CHANGE.
. "$PSScriptRoot\lab.ps1"

$PersistentKey = 'SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\PersistentRoutes'
# A file of this folder goes when the computer goes down.
$ActiveFile = 'C:\windows\temp\lab-volatile\routes'

function Stop-Stub {
    param([string] $Message)
    Write-ErrorLine $Message
    exit 1
}

function Get-Active {
    if (-not [System.IO.File]::Exists($ActiveFile)) { return @() }
    return @([System.IO.File]::ReadAllLines($ActiveFile) | Where-Object { $_ })
}

function Set-Active {
    param([string[]] $Lines)
    [void] [System.IO.Directory]::CreateDirectory([System.IO.Path]::GetDirectoryName($ActiveFile))
    [System.IO.File]::WriteAllLines($ActiveFile, $Lines)
}

function Get-Persistent {
    $key = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($PersistentKey)
    if (-not $key) { return @() }
    $names = @($key.GetValueNames())
    $key.Close()
    return $names
}

function Test-Address {
    param([string[]] $Words)
    foreach ($word in $Words) {
        $address = $null
        if ($word -notmatch '^\d+(\.\d+){3}$' -or -not [System.Net.IPAddress]::TryParse($word, [ref] $address)) { Stop-Stub "route: bad argument $word" }
    }
}

function Invoke-Add {
    param([string[]] $Words, [bool] $Keep)
    if ($Words.Count -lt 4 -or $Words[1] -ne 'mask') { Stop-Stub 'route: bad argument: expected DESTINATION MASK NETMASK GATEWAY' }
    $destination, $mask, $gateway = $Words[0], $Words[2], $Words[3]
    Test-Address $destination, $mask, $gateway
    $metric = '1'
    for ($i = 4; $i + 1 -lt $Words.Count; $i += 2) { if ($Words[$i] -eq 'metric') { $metric = $Words[$i + 1] } }
    $line = $destination, $mask, $gateway, $metric -join ','
    $same = { param($other) ($other -split ',')[0..2] -join ',' -eq ($destination, $mask, $gateway -join ',') }
    if (@(Get-Active) + @(Get-Persistent) | Where-Object { & $same $_ }) { Stop-Stub 'The route addition failed: The object already exists.' }
    Set-Active (@(Get-Active) + $line)
    if ($Keep) {
        $key = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey($PersistentKey)
        $key.SetValue($line, '')
        $key.Close()
    }
    Write-Line ' OK!'
}

function Invoke-Delete {
    param([string[]] $Words)
    if (-not $Words.Count) { Stop-Stub 'route: bad argument: expected DESTINATION' }
    Test-Address $Words[0]
    $goes = { param($line) ($line -split ',')[0] -eq $Words[0] -and ($Words.Count -lt 3 -or ($line -split ',')[1] -eq $Words[2]) }
    $active = @(Get-Active)
    $persistent = @(Get-Persistent | Where-Object { & $goes $_ })
    $kept = @($active | Where-Object { -not (& $goes $_) })
    if ($kept.Count -eq $active.Count -and -not $persistent.Count) { Stop-Stub 'The route deletion failed: Element not found.' }
    Set-Active $kept
    foreach ($name in $persistent) {
        $key = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey($PersistentKey)
        $key.DeleteValue($name)
        $key.Close()
    }
    Write-Line ' OK!'
}

function Invoke-Print {
    $rule = '=' * 75
    Write-Line "$rule`n`nIPv4 Route Table`n$rule`nActive Routes:`nNetwork Destination        Netmask          Gateway       Interface  Metric"
    foreach ($line in @(Get-Active) + @(Get-Persistent) | Select-Object -Unique) {
        $fields = $line -split ','
        Write-Line ('{0,17} {1,16} {2,16} {3,16} {4,6}' -f $fields[0], $fields[1], $fields[2], 'On-link', $fields[3])
    }
    Write-Line "$rule`nPersistent Routes:"
    $persistent = @(Get-Persistent)
    if (-not $persistent.Count) { Write-Line '  None' }
    else { Write-Line '  Network Address          Netmask  Gateway Address  Metric' }
    foreach ($line in $persistent) {
        $fields = $line -split ','
        Write-Line ('{0,17} {1,16} {2,16} {3,7}' -f $fields[0], $fields[1], $fields[2], $fields[3])
    }
    Write-Line $rule
}

$given = Get-Argument
$keep = $given -ccontains '-p'
$words = @($given | Where-Object { $_ -notmatch '^-' })
$verb = ''
if ($words.Count) { $verb = $words[0].ToLowerInvariant() }
$rest = @($words | Select-Object -Skip 1)
switch ($verb) {
    'add' { Invoke-Add $rest $keep }
    'delete' { Invoke-Delete $rest }
    'print' { Invoke-Print }
    default { Stop-Stub "route: the lab's knows add, delete and print, not '$verb'" }
}
exit 0
