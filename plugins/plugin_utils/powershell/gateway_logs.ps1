# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The last entries of a gateway's logs, or those that came after an earlier look; however large a log is, little of it is read.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][object[]]$Logs,
    [Parameter(Mandatory = $true)][string]$Rotation,
    [Parameter(Mandatory = $true)][int]$Most,
    [Parameter(Mandatory = $true)][AllowEmptyCollection()][string[]]$Unwanted,
    [Parameter(Mandatory = $true)][double]$SinceSeconds,
    [Parameter(Mandatory = $true)][double]$WithinSeconds
)
Set-StrictMode -Version 2.0

$Utf8 = New-Object System.Text.UTF8Encoding $false, $true
# What Windows itself says to nginx is in the language and the code page of the host.
$Ansi = [System.Text.Encoding]::GetEncoding(0)
# Each byte one character: so a place in the text is a place in the file.
$Bytewise = [System.Text.Encoding]::GetEncoding('iso-8859-1')
$Invariant = [System.Globalization.CultureInfo]::InvariantCulture
$LocalTime = [System.Globalization.DateTimeStyles]'AssumeLocal, AdjustToUniversal'
$HeadBytes = 1024
# What is read first, and eight times that, and so on, where the entries wanted do not lie in it.
$FirstBytes = 262144
$MostBytes = 16777216

# An entry of an error log goes on until the next one begins; every line of another log is an entry.
$begin = '(?<stamp>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[\w+\] '
$ErrorEntry = New-Object System.Text.RegularExpressions.Regex "^$begin", 'Multiline'
$left = ''
if ($Unwanted.Count -gt 0) { $left = '(?!(?:' + ($Unwanted -join '|') + ')\])' }
$stamp = "^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[${left}(\w+)\] "
$WantedEntry = New-Object System.Text.RegularExpressions.Regex "$stamp[^\n]*(?:\n(?!$begin)[^\n]*)*", 'Multiline'
$Line = New-Object System.Text.RegularExpressions.Regex '^[^\r\n][^\n]*', 'Multiline'
$LineTime = New-Object System.Text.RegularExpressions.Regex '(?<common>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})|(?<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d))'

$oldest = $null
if ($WithinSeconds -gt 0) { $oldest = [DateTime]::UtcNow.AddSeconds(-$WithinSeconds) }
if ($SinceSeconds -gt 0) { $oldest = [DateTimeOffset]::FromUnixTimeMilliseconds([long]($SinceSeconds * 1000)).UtcDateTime }
# nginx writes the time of the host into its error log.
$oldestStamp = ''
if ($null -ne $oldest) { $oldestStamp = $oldest.ToLocalTime().ToString('yyyy/MM/dd HH:mm:ss', $Invariant) }

# The gateway holds its logs open, writes to them, and may have them renamed meanwhile.
function Open-Log([string]$Path) {
    [System.IO.File]::Open($Path, 'Open', 'Read', 'ReadWrite, Delete')
}

function Read-Bytes([System.IO.FileStream]$File, [long]$From, [long]$Until) {
    [void]$File.Seek($From, 'Begin')
    $bytes = New-Object byte[] ([int]($Until - $From))
    $done = 0
    while ($done -lt $bytes.Length) {
        $count = $File.Read($bytes, $done, $bytes.Length - $done)
        if ($count -eq 0) { break }
        $done += $count
    }
    [Array]::Resize([ref]$bytes, $done)
    , $bytes
}

# A log grows at its end only: its begin tells whether it is the one of the earlier look.
function Get-Digest([System.IO.FileStream]$File, [long]$Length) {
    $sum = [System.Security.Cryptography.SHA256]::Create()
    try {
        $bytes = Read-Bytes $File 0 $Length
        [System.BitConverter]::ToString($sum.ComputeHash($bytes), 0, 8).Replace('-', '').ToLowerInvariant()
    } finally {
        $sum.Dispose()
    }
}

# A log that is empty has no begin, and is told by the moment at which it was so.
function Get-Place([System.IO.FileStream]$File, [long]$Offset) {
    $head = [Math]::Min($Offset, [long]$HeadBytes)
    if ($head -eq 0) { return "0-0-$([DateTime]::UtcNow.Ticks.ToString('x16'))" }
    "$Offset-$head-$(Get-Digest $File $head)"
}

function Test-Same([System.IO.FileStream]$File, $Log) {
    $File.Length -ge $Log.offset -and (Get-Digest $File $Log.head) -eq $Log.digest
}

# What looks like a time may be what somebody has asked the gateway for, and no time.
function Get-LineTime([string]$Text) {
    $match = $LineTime.Match($Text)
    $time = [DateTimeOffset]::MinValue
    $common = $match.Groups['common'].Value
    if ($common) {
        $common = $common.Insert($common.Length - 2, ':')
        if ([DateTimeOffset]::TryParseExact($common, 'dd/MMM/yyyy:HH:mm:ss zzz', $Invariant, 'None', [ref]$time)) { $time.UtcDateTime }
    } elseif ($match.Success -and [DateTimeOffset]::TryParse($match.Groups['iso'].Value, $Invariant, 'None', [ref]$time)) {
        $time.UtcDateTime
    }
}

function Get-EntryTime([string]$Stamp) {
    $time = [DateTime]::MinValue
    if ([DateTime]::TryParseExact($Stamp, 'yyyy/MM/dd HH:mm:ss', $Invariant, $LocalTime, [ref]$time)) { $time }
}

function Get-Words([byte[]]$Bytes, [int]$Begin, [int]$End) {
    try {
        $words = $Utf8.GetString($Bytes, $Begin, $End - $Begin)
    } catch [System.Text.DecoderFallbackException] {
        $words = $Ansi.GetString($Bytes, $Begin, $End - $Begin)
    }
    $words.TrimEnd("`r", "`n")
}

function Get-Iso($Time) {
    if ($null -ne $Time) { $Time.ToString('yyyy-MM-ddTHH:mm:ssZ', $Invariant) }
}

# One entry of a text; nothing where it is older than what is wanted.
function Get-Entry([byte[]]$Bytes, [bool]$Errors, $Match) {
    $level = $null
    if ($Errors) {
        if ($oldestStamp -and [string]::CompareOrdinal($Match.Groups[1].Value, $oldestStamp) -lt 0) { return }
        $time = Get-EntryTime $Match.Groups[1].Value
        $level = $Match.Groups[2].Value
    } else {
        $time = Get-LineTime $Match.Value
        if ($null -ne $oldest -and $null -ne $time -and $time -lt $oldest) { return }
    }
    @{ time = (Get-Iso $time); level = $level; text = (Get-Words $Bytes $Match.Index ($Match.Index + $Match.Length)) }
}

# What stands before the first entry goes on with one that was read before.
function Get-Lead([byte[]]$Bytes, [string]$Text, [bool]$Errors) {
    if (-not $Errors) { return }
    $first = $ErrorEntry.Match($Text)
    $end = $Text.Length
    if ($first.Success) { $end = $first.Index }
    if ($end -gt 0) { @{ time = $null; level = $null; text = (Get-Words $Bytes 0 $end) } }
}

# Only whole lines: the gateway may be about to write the rest of the last one.
function Get-Text([byte[]]$Bytes) {
    $text = $Bytewise.GetString($Bytes)
    $text.Substring(0, $text.LastIndexOf([char]10) + 1)
}

# What an entry of a log that is wanted begins with.
function Get-Begin([bool]$Errors) {
    if ($Errors) { return $WantedEntry }
    $Line
}

function Read-End($Answer, [System.IO.FileStream]$File, [bool]$Errors) {
    $until = $File.Length
    $window = $FirstBytes
    while ($true) {
        $from = [Math]::Max([long]0, $until - $window)
        $bytes = Read-Bytes $File $from $until
        $text = Get-Text $bytes
        $skipped = 0
        # The first line may have begun before.
        if ($from -gt 0) { $skipped = $text.IndexOf([char]10) + 1 }
        $found = (Get-Begin $Errors).Matches($text, $skipped)
        $entries = New-Object System.Collections.ArrayList
        $past = $false
        for ($index = $found.Count - 1; $index -ge 0 -and $entries.Count -lt $Most; $index--) {
            $entry = Get-Entry $bytes $Errors $found[$index]
            if ($null -eq $entry) { $past = $true; break }
            [void]$entries.Add($entry)
        }
        if ($Errors -and $oldestStamp) {
            $first = $ErrorEntry.Match($text, $skipped)
            if ($first.Success -and [string]::CompareOrdinal($first.Groups['stamp'].Value, $oldestStamp) -lt 0) { $past = $true }
        }
        if ($from -eq 0 -and -not $past -and $entries.Count -lt $Most) {
            $lead = Get-Lead $bytes $text $Errors
            if ($null -ne $lead) { [void]$entries.Add($lead) }
        }
        if ($from -eq 0 -or $past -or $entries.Count -ge $Most) { break }
        if ($window -ge $MostBytes) { $Answer.cut = $true; break }
        $window *= 8
        if ($window -gt $MostBytes) { $window = $MostBytes }
    }
    $entries.Reverse()
    $Answer.entries.AddRange($entries)
    $Answer.next = Get-Place $File ($from + $text.Length)
}

# Goes on from a place; where that would be too much, up to another place. To a log that was put aside nothing is added.
function Read-On($Answer, [System.IO.FileStream]$File, [bool]$Errors, [long]$Offset, [bool]$Aside) {
    $size = $File.Length
    $until = [Math]::Min($size, $Offset + $MostBytes)
    $bytes = Read-Bytes $File $Offset $until
    $text = Get-Text $bytes
    if ($Aside -and $until -eq $size) { $text = $Bytewise.GetString($bytes) }
    if ($Errors -and $until -lt $size) {
        $all = $ErrorEntry.Matches($text)
        # The last entry may go on after what was read.
        if ($all.Count -gt 1) { $text = $text.Substring(0, $all[$all.Count - 1].Index) }
    }
    $end = $text.Length
    $Answer.more = $until -lt $size
    $lead = Get-Lead $bytes $text $Errors
    if ($null -ne $lead) { [void]$Answer.entries.Add($lead) }
    foreach ($match in (Get-Begin $Errors).Matches($text)) {
        $entry = Get-Entry $bytes $Errors $match
        if ($null -eq $entry) { continue }
        if ($Answer.entries.Count -ge $Most) {
            $Answer.more = $true
            $end = $match.Index
            break
        }
        [void]$Answer.entries.Add($entry)
    }
    $Answer.next = Get-Place $File ($Offset + $end)
}

# The logs that were put aside since an earlier look, from the one of that look on; nothing if it is not there any more.
function Get-Aside($Log) {
    $directory = [System.IO.Path]::GetDirectoryName($Log.path)
    # For Windows the pattern holds for the log itself too.
    $others = [System.IO.Directory]::GetFiles($directory, [System.IO.Path]::GetFileName($Log.path) + '.*') | Where-Object { $_.Length -gt $Log.path.Length }
    $since = 0
    if ($Log.head -eq 0) { $since = [Convert]::ToInt64($Log.digest, 16) }
    $found = $false
    foreach ($path in $others | Sort-Object { [System.IO.File]::GetLastWriteTimeUtc($_) }, { $_ }) {
        if (-not $found) {
            $file = Open-Log $path
            try {
                $found = if ($Log.head -eq 0) { [System.IO.File]::GetLastWriteTimeUtc($path).Ticks -gt $since } else { Test-Same $file $Log }
            } finally {
                $file.Dispose()
            }
        }
        if ($found) { $path }
    }
}

function Read-Log($Log) {
    $errors = [bool]$Log.errors
    $answer = @{
        name = $Log.name; path = $Log.path; size = $null; entries = (New-Object System.Collections.ArrayList); next = $null
        aside = @(); rotated = $false; more = $false; cut = $false; problem = $null; said = $null
    }
    try {
        $file = Open-Log $Log.path
    } catch [System.IO.FileNotFoundException], [System.IO.DirectoryNotFoundException] {
        $answer.problem = 'missing'
        return $answer
    } catch [System.UnauthorizedAccessException] {
        $answer.problem = 'denied'
        return $answer
    } catch [System.IO.IOException] {
        $answer.problem = 'locked'
        $answer.said = $_.Exception.GetBaseException().Message
        return $answer
    }
    try {
        $answer.size = $file.Length
        if ($Log.offset -lt 0) {
            Read-End $answer $file $errors
        } elseif ($Log.head -gt 0 -and (Test-Same $file $Log)) {
            Read-On $answer $file $errors $Log.offset $false
        } else {
            $answer.aside = @(Get-Aside $Log)
            $answer.rotated = $Log.head -gt 0 -or $answer.aside.Count -gt 0
            $offset = $Log.offset
            foreach ($path in $answer.aside) {
                $other = Open-Log $path
                try {
                    Read-On $answer $other $errors $offset $true
                } finally {
                    $other.Dispose()
                }
                if ($answer.more) { return $answer }
                $offset = 0
            }
            Read-On $answer $file $errors 0 $false
        }
    } finally {
        $file.Dispose()
    }
    $answer
}

$rotated = $null
if ([System.IO.File]::Exists($Rotation)) { $rotated = [System.IO.File]::ReadAllText($Rotation) }
$Ansible.Changed = $false
$Ansible.Result = @{ logs = @($Logs | ForEach-Object { Read-Log $_ }); rotation = $rotated }
