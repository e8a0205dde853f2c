# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Stands for netsh.exe: `interface portproxy` and `advfirewall firewall`, which keep what they are told where Windows keeps it.
# Documented, or seen in public reports of the real one: where port proxies and firewall rules lie in the registry, and how their values
# are written; `Ok.`; "No rules match the specified criteria." on standard output with exit code 1.
# Assumed: the wording and the code of every other refusal, and the wording of `set rule`; that `add` of a proxy that exists replaces it; that each address of a list
# has a field of its own, as its documentation says of rules in group policies.
# Not here: any forwarding or filtering (nothing under Wine listens for it), IPv6 proxies, other contexts, other languages.
. "$PSScriptRoot\lab.ps1"

$Proxies = 'SYSTEM\CurrentControlSet\Services\PortProxy\v4tov4\tcp'
$Rules = 'SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules'
$Protocols = @{ tcp = '6'; udp = '17'; any = '256' }

function Stop-Stub {
    param([string] $Message)
    Write-Line "`n$Message`n"
    exit 1
}

function Read-Pair {
    # The arguments NAME=VALUE, by name; others than those allowed are refused.
    param([string[]] $Words, [string[]] $Allowed, [string[]] $Needed)
    $pairs = @{}
    foreach ($word in $Words) {
        $name, $value = $word -split '=', 2
        if ($null -eq $value -or $Allowed -notcontains $name) { Stop-Stub "$word is not a valid argument for this command.`nThe syntax supplied for this command is not valid. Check help for the correct syntax." }
        $pairs[$name.ToLowerInvariant()] = $value
    }
    foreach ($name in $Needed) {
        if (-not $pairs.ContainsKey($name)) { Stop-Stub 'One or more essential parameters were not entered.' }
    }
    return $pairs
}

function Get-Value {
    param([string] $Path)
    $key = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($Path)
    $values = [ordered] @{}
    if ($key) {
        foreach ($name in $key.GetValueNames() | Sort-Object) { $values[$name] = [string] $key.GetValue($name) }
        $key.Close()
    }
    return $values
}

function Set-Value {
    # Set one value, or remove it.
    param([string] $Path, [string] $Name, $Value)
    $key = [Microsoft.Win32.Registry]::LocalMachine.CreateSubKey($Path)
    if ($null -eq $Value) { $key.DeleteValue($Name) } else { $key.SetValue($Name, $Value) }
    $key.Close()
}

function Invoke-PortProxy {
    param([string] $Verb, [string[]] $Words)
    $target = ''
    if ($Words.Count) { $target = $Words[0].ToLowerInvariant() }
    $known = Get-Value $Proxies
    switch ($Verb) {
        'show' {
            if ('v4tov4', 'all' -notcontains $target) { Stop-Stub "The following command was not found: interface portproxy show $target." }
            if (-not $known.Count) { Write-Line ''; return }
            Write-Line "`nListen on ipv4:             Connect to ipv4:`n"
            Write-Line "Address         Port        Address         Port`n--------------- ----------  --------------- ----------"
            foreach ($name in $known.Keys) {
                $from, $to = ($name -split '/'), ($known[$name] -split '/')
                Write-Line ('{0,-15} {1,-11} {2,-15} {3}' -f $from[0], $from[1], $to[0], $to[1])
            }
            Write-Line ''
        }
        'reset' { foreach ($name in @($known.Keys)) { Set-Value $Proxies $name $null }; Write-Line '' }
        { 'add', 'set', 'delete' -contains $_ } {
            if ($target -ne 'v4tov4') { Stop-Stub "The following command was not found: interface portproxy $Verb $target." }
            $pairs = Read-Pair @($Words | Select-Object -Skip 1) @('listenport', 'listenaddress', 'connectport', 'connectaddress', 'protocol') @('listenport')
            $address = '*'
            if ($pairs.ContainsKey('listenaddress')) { $address = $pairs['listenaddress'] }
            $name = "$address/$($pairs['listenport'])"
            if ($Verb -ne 'add' -and -not $known.Contains($name)) { Stop-Stub 'The system cannot find the file specified.' }
            if ($Verb -eq 'delete') { Set-Value $Proxies $name $null; Write-Line ''; return }
            if (-not $pairs.ContainsKey('connectaddress')) { Stop-Stub 'One or more essential parameters were not entered.' }
            $port = $pairs['listenport']
            if ($pairs.ContainsKey('connectport')) { $port = $pairs['connectport'] }
            Set-Value $Proxies $name "$($pairs['connectaddress'])/$port"
            Write-Line ''
        }
        default { Stop-Stub "The following command was not found: interface portproxy $Verb." }
    }
}

function Get-Rule {
    # The rules of a name, by the names of their values.
    param([string] $Name)
    $found = [ordered] @{}
    $all = Get-Value $Rules
    foreach ($value in $all.Keys) {
        $fields = @{}
        foreach ($field in $all[$value] -split '\|' | Where-Object { $_ -match '=' }) {
            $key, $text = $field -split '=', 2
            $fields[$key] = (@($fields[$key], $text) | Where-Object { $_ }) -join ','
        }
        if ($Name -eq 'all' -or $fields['Name'] -eq $Name) { $found[$value] = $fields }
    }
    return $found
}

function Write-Rule {
    param([hashtable] $Fields)
    $yes = @{ 'TRUE' = 'Yes'; 'FALSE' = 'No' }
    $protocol = @{ '6' = 'TCP'; '17' = 'UDP'; '256' = 'Any' }
    $given = { param($name) if ($Fields.ContainsKey($name)) { $Fields[$name] } else { 'Any' } }
    Write-Line ''
    Write-Line ('{0,-38}{1}' -f 'Rule Name:', $Fields['Name'])
    Write-Line ('-' * 70)
    Write-Line ('{0,-38}{1}' -f 'Enabled:', $yes[$Fields['Active']])
    Write-Line ('{0,-38}{1}' -f 'Direction:', $Fields['Dir'])
    Write-Line ('{0,-38}{1}' -f 'Profiles:', 'Domain,Private,Public')
    Write-Line ('{0,-38}{1}' -f 'LocalIP:', 'Any')
    Write-Line ('{0,-38}{1}' -f 'RemoteIP:', (& $given 'RA4'))
    Write-Line ('{0,-38}{1}' -f 'Protocol:', $protocol[$Fields['Protocol']])
    if ($Fields['Protocol'] -ne '256') {
        Write-Line ('{0,-38}{1}' -f 'LocalPort:', (& $given 'LPort'))
        Write-Line ('{0,-38}{1}' -f 'RemotePort:', 'Any')
    }
    Write-Line ('{0,-38}{1}' -f 'Edge traversal:', 'No')
    Write-Line ('{0,-38}{1}' -f 'Action:', $Fields['Action'])
}

function Invoke-Firewall {
    param([string] $Verb, [string[]] $Words)
    if (-not $Words.Count -or $Words[0] -ne 'rule') { Stop-Stub "The following command was not found: advfirewall firewall $Verb $($Words | Select-Object -First 1)." }
    $rest = @($Words | Select-Object -Skip 1)
    $allowed = @('name', 'dir', 'action', 'protocol', 'localport', 'remoteip', 'profile', 'enable', 'program', 'description')
    if ($Verb -eq 'add') {
        $pairs = Read-Pair $rest $allowed @('name', 'dir', 'action')
        $protocol = 'any'
        if ($pairs.ContainsKey('protocol')) { $protocol = $pairs['protocol'].ToLowerInvariant() }
        if (-not $Protocols.ContainsKey($protocol)) { Stop-Stub 'A specified protocol value is not valid.' }
        if ($pairs.ContainsKey('localport') -and $protocol -eq 'any') { Stop-Stub 'A port can be specified only if the protocol is TCP or UDP.' }
        $fields = @('v2.30', ('Action=' + $(if ($pairs['action'] -eq 'block') { 'Block' } else { 'Allow' })))
        $fields += 'Active=' + $(if ($pairs['enable'] -eq 'no') { 'FALSE' } else { 'TRUE' })
        $fields += 'Dir=' + $(if ($pairs['dir'] -eq 'out') { 'Out' } else { 'In' })
        $fields += "Protocol=$($Protocols[$protocol])"
        if ($pairs.ContainsKey('localport')) { $fields += "LPort=$($pairs['localport'])" }
        if ($pairs.ContainsKey('remoteip') -and $pairs['remoteip'] -ne 'any') { $fields += $pairs['remoteip'] -split ',' | ForEach-Object { "RA4=$_" } }
        if ($pairs.ContainsKey('program')) { $fields += "App=$($pairs['program'])" }
        $fields += "Name=$($pairs['name'])"
        if ($pairs.ContainsKey('description')) { $fields += "Desc=$($pairs['description'])" }
        Set-Value $Rules "{$([guid]::NewGuid().ToString().ToUpperInvariant())}" (($fields -join '|') + '|')
        Write-Line "Ok.`n"
        return
    }
    if ($Verb -eq 'set') {
        # Only a new name is known here.
        $at = [array]::IndexOf([object[]] $rest, 'new')
        if ($at -lt 0) { Stop-Stub 'One or more essential parameters were not entered.' }
        $pairs = Read-Pair @($rest | Select-Object -First $at) @('name') @('name')
        $changes = Read-Pair @($rest | Select-Object -Skip ($at + 1)) @('name') @('name')
        $found = Get-Rule $pairs['name']
        if (-not $found.Count) { Stop-Stub 'No rules match the specified criteria.' }
        $all = Get-Value $Rules
        foreach ($value in @($found.Keys)) { Set-Value $Rules $value ($all[$value].Replace("|Name=$($pairs['name'])|", "|Name=$($changes['name'])|")) }
        Write-Line "`nUpdated $($found.Count) rule(s).`nOk.`n"
        return
    }
    if ('delete', 'show' -notcontains $Verb) { Stop-Stub "The following command was not found: advfirewall firewall $Verb rule." }
    $pairs = Read-Pair $rest ($allowed + 'verbose') @('name')
    $found = Get-Rule $pairs['name']
    if (-not $found.Count) { Stop-Stub 'No rules match the specified criteria.' }
    if ($Verb -eq 'show') {
        foreach ($value in $found.Keys) { Write-Rule $found[$value] }
        Write-Line "Ok.`n"
        return
    }
    foreach ($value in @($found.Keys)) { Set-Value $Rules $value $null }
    Write-Line "`nDeleted $($found.Count) rule(s).`nOk.`n"
}

$words = Get-Argument
$context = ($words | Select-Object -First 2) -join ' '
if ($words.Count -lt 3) { Stop-Stub "The following command was not found: $context." }
$rest = @($words | Select-Object -Skip 3)
if ($context -eq 'interface portproxy') { Invoke-PortProxy $words[2].ToLowerInvariant() $rest }
elseif ($context -eq 'advfirewall firewall') { Invoke-Firewall $words[2].ToLowerInvariant() $rest }
else { Stop-Stub "The following command was not found: $($words -join ' ')." }
exit 0
