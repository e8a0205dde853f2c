# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

<#
Carries out transactions on a Windows gateway, whatever becomes of the connection that asked for them.

The scheduled task flatnet-transaction runs it, on demand and at boot. It lies beside the transactions, one folder each: plan.json says
what to do, journal what was done. A step is journalled before it is taken; a run that died is taken up or undone by the next one.
Both formats are described in docs/formats/gateway-transaction.md.

Exit code: 0 nothing is left to do, 1 a transaction was undone, refused or is stranded, 2 it died, and act.log says of what, 3 another one
holds the lock.
With -FunctionsOnly it does nothing: whoever dot-sources it calls them.
#>
param([switch] $FunctionsOnly)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Format = 1
# Finished transactions that are kept.
$Keep = 20
# A transaction that died this often is undone.
$MostTakenUp = 3
# Room on the disk that a running transaction holds back for its journal.
$ReserveBytes = 65536
$SharingViolation = -2147024864
$Utf8 = New-Object Text.UTF8Encoding $false
$Invariant = [Globalization.CultureInfo]::InvariantCulture
$StampFormat = "yyyyMMdd'T'HHmmss.fff'Z'"
$Universal = [Globalization.DateTimeStyles]'AssumeUniversal, AdjustToUniversal'
$Schtasks = Join-Path ([Environment]::GetFolderPath('System')) 'schtasks.exe'
$Known = 'look', 'free', 'write', 'carry', 'test', 'task', 'rename', 'stop', 'start', 'reload', 'verify'

function Fail([string] $why) {
    throw (New-Object InvalidOperationException $why)
}

function Get-Reason($record) {
    if ($record.Exception.GetType() -eq [InvalidOperationException]) { return $record.Exception.Message }
    return '{0} (act.ps1, line {1})' -f $record.Exception.GetBaseException().Message, $record.InvocationInfo.ScriptLineNumber
}

function Get-Field($object, [string] $name, $default) {
    $property = $object.PSObject.Properties[$name]
    if ($null -eq $property) { return $default }
    return $property.Value
}

function New-Stamp {
    return [DateTime]::UtcNow.ToString($StampFormat, $Invariant)
}

function Get-SecondsSince([string] $stamp) {
    return ([DateTime]::UtcNow - [DateTime]::ParseExact($stamp, $StampFormat, $Invariant, $Universal)).TotalSeconds
}

function Wait-Until([double] $secondsToWait, [scriptblock] $isMet) {
    $waited = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        if (& $isMet) { return $true }
        if ($waited.Elapsed.TotalSeconds -ge $secondsToWait) { return $false }
        [Threading.Thread]::Sleep(25)
    }
}

function Test-Shared($record) {
    return $record.Exception.GetBaseException().HResult -eq $SharingViolation
}

function Write-Durable([IO.FileStream] $stream, [byte[]] $bytes) {
    $stream.Write($bytes, 0, $bytes.Length)
    $stream.Flush($true)
    # Where a part finds room, a part is written.
    if ($stream.Length -lt $stream.Position) { throw (New-Object IO.IOException "There is no room on the disk for $($stream.Name).") }
}

function Add-Line($run, [byte[]] $bytes) {
    $end = $run.Journal.Length
    for ($room = 0; $true; $room++) {
        try {
            $null = $run.Journal.Seek($end, [IO.SeekOrigin]::Begin)
            Write-Durable $run.Journal $bytes
            return
        } catch [IO.IOException] {
            # Half a line would be taken for a cut; what was held back makes room for a whole one.
            if ($run.Journal.Length -gt $end) { $run.Journal.SetLength($end) }
            if ($room -gt 0 -or -not [IO.File]::Exists($run.Reserve)) { throw }
            [IO.File]::Delete($run.Reserve)
        }
    }
}

function Add-Entry($run, [string] $what, $fields) {
    $entry = [ordered]@{ n = $run.Entries.Count + 1; at = New-Stamp; event = $what }
    foreach ($name in $fields.Keys) { $entry[$name] = $fields[$name] }
    $line = ConvertTo-Json -InputObject $entry -Compress -Depth 8
    Add-Line $run $Utf8.GetBytes($line + "`n")
    $read = ConvertFrom-Json -InputObject $line
    $run.Entries.Add($read)
    return $read
}

function Add-EntryIfPossible($run, [string] $what, $fields) {
    # An undo goes on without its journal: it can be repeated, and will be.
    try {
        $null = Add-Entry $run $what $fields
        return $true
    } catch [IO.IOException] {
        return $false
    }
}

function Find-Entry($run, [string] $what, [int] $step) {
    foreach ($entry in $run.Entries) {
        if ($entry.event -eq $what -and ($step -lt 0 -or (Get-Field $entry 'step' -1) -eq $step)) { return $entry }
    }
}

function Find-Begun($run, [string] $do) {
    foreach ($entry in $run.Entries) {
        if ($entry.event -eq 'step' -and $entry.do -eq $do) { return $entry }
    }
}

function Open-Journal([string] $folder) {
    $sharing = [IO.FileShare]::Read -bor [IO.FileShare]::Delete
    try {
        # Without a buffer: what found no room must not be written when the file is closed.
        return New-Object IO.FileStream (Join-Path $folder 'journal'), ([IO.FileMode]::OpenOrCreate), ([IO.FileAccess]::ReadWrite), $sharing, 1
    } catch [IO.IOException] {
        if (Test-Shared $_) { return $null }
        throw
    }
}

function Read-Entries([IO.FileStream] $journal) {
    $bytes = New-Object byte[] ([int] $journal.Length)
    $null = $journal.Seek(0, [IO.SeekOrigin]::Begin)
    $count = 0
    while ($count -lt $bytes.Length) { $count += $journal.Read($bytes, $count, $bytes.Length - $count) }
    # A line without its end was cut while it was written: what it announces was not begun.
    $end = [Array]::LastIndexOf($bytes, [byte] 10) + 1
    if ($end -lt $bytes.Length) { $journal.SetLength($end) }
    $entries = New-Object 'Collections.Generic.List[object]'
    foreach ($line in $Utf8.GetString($bytes, 0, $end).Split([char[]] "`n", [StringSplitOptions]::RemoveEmptyEntries)) {
        $entry = ConvertFrom-Json -InputObject $line
        if ($null -eq $entry -or $null -eq (Get-Field $entry 'event' $null)) { throw (New-Object ArgumentException "a line of a journal has no event: $line") }
        $entries.Add($entry)
    }
    return , $entries
}

function New-Run([string] $folder, [IO.FileStream] $journal) {
    return @{
        Id = [IO.Path]::GetFileName($folder)
        Folder = $folder
        Journal = $journal
        Reserve = Join-Path $folder 'reserve'
        Entries = Read-Entries $journal
        Plan = $null
        Facts = [ordered]@{}
        Undoing = $false
        Watch = [Diagnostics.Stopwatch]::StartNew()
    }
}

function Read-Plan([string] $folder) {
    $path = Join-Path $folder 'plan.json'
    $plan = ConvertFrom-Json -InputObject ([IO.File]::ReadAllText($path, $Utf8))
    if ((Get-Field $plan 'format' 0) -ne $Format) { Fail "a plan of format $Format was expected in $path, and its format is $(Get-Field $plan 'format' 'not given'): deposit it with the act.ps1 of the same version" }
    $name = [IO.Path]::GetFileName($folder)
    if ($plan.id -ne $name) { Fail "the plan of $name was expected in $path, and it is that of $($plan.id): make a plan for each transaction" }
    foreach ($step in $plan.steps) {
        if ($Known -notcontains $step.do) { Fail "one of the steps $($Known -join ', ') was expected in $path, and '$($step.do)' came: deposit it with the act.ps1 of the same version" }
    }
    return $plan
}

function Get-Event([string] $signal, [int] $id) {
    # nginx's master alone makes these; with them it is told apart from its workers, and signalled whatever its pid file says.
    $handle = $null
    if ([Threading.EventWaitHandle]::TryOpenExisting("Global\ngx_${signal}_$id", [ref] $handle)) { return $handle }
}

function Test-Master([int] $id) {
    try {
        $handle = Get-Event 'quit' $id
    } catch [UnauthorizedAccessException] {
        return $true
    }
    if ($null -eq $handle) { return $false }
    $handle.Dispose()
    return $true
}

function Send-Signal([string] $signal, [int] $id) {
    try {
        $handle = Get-Event $signal $id
    } catch [UnauthorizedAccessException] {
        Fail "the nginx with PID $id was expected to take the signal $signal from this account, and Windows denied access: it was started by another account; stop it as that account"
    }
    if ($null -eq $handle) { return }
    $null = $handle.Set()
    $handle.Dispose()
}

function Get-Origin($process) {
    # A process that is just starting has no module yet; one of another account never shows it, and is not ours.
    for ($try = 0; $try -lt 5; $try++) {
        try {
            if ($process.HasExited) { return }
            $module = $process.MainModule
            if ($null -ne $module) { return @{ Path = $module.FileName; Started = $process.StartTime.ToUniversalTime() } }
        } catch [ComponentModel.Win32Exception], [InvalidOperationException] {
            $process.Refresh()
        }
        [Threading.Thread]::Sleep(20)
    }
}

function Get-Ours($gateway) {
    $names = @($gateway.programs | ForEach-Object { [IO.Path]::GetFileNameWithoutExtension($_) } | Select-Object -Unique)
    $found = @()
    foreach ($name in $names) {
        foreach ($process in [Diagnostics.Process]::GetProcessesByName($name)) {
            $origin = Get-Origin $process
            if ($null -eq $origin -or $gateway.programs -notcontains $origin.Path) { continue }
            $found += [pscustomobject]@{ Id = $process.Id; Path = $origin.Path; Started = $origin.Started; Master = Test-Master $process.Id }
        }
    }
    return , @($found | Sort-Object Started, Id)
}

function Get-Masters($gateway) {
    $ours = Get-Ours $gateway
    return , @($ours | Where-Object { $_.Master } | ForEach-Object { $_.Id })
}

function Deny-Many($gateway, $masters) {
    if ($masters.Count -gt 1) { Fail "one master of $($gateway.program) was expected, and PIDs $($masters -join ', ') share the port: run the restart" }
}

function Stop-Ours($gateway, $ids) {
    foreach ($id in $ids) {
        # Looked at once more: a PID may be another program's by now.
        $ours = Get-Ours $gateway
        if (@($ours | ForEach-Object { $_.Id }) -notcontains $id) { continue }
        try {
            [Diagnostics.Process]::GetProcessById($id).Kill()
        } catch [ArgumentException], [InvalidOperationException] {
            continue
        } catch [ComponentModel.Win32Exception] {
            Fail "the nginx with PID $id was expected to end, and Windows said '$($_.Exception.GetBaseException().Message)': end it in the Task Manager as administrator"
        }
    }
}

function Get-Page([string] $address, [int] $port, [string] $name, [string] $path, [int] $milliseconds) {
    $left = [Diagnostics.Stopwatch]::StartNew()
    $page = @{ Reached = $false; Status = 0; Body = ''; Why = '' }
    $client = New-Object Net.Sockets.TcpClient
    try {
        $connecting = $client.BeginConnect($address, $port, $null, $null)
        # A refused connection is tried again by Windows for two seconds: the answer that is wanted comes at once.
        if (-not $connecting.AsyncWaitHandle.WaitOne([Math]::Min(500, $milliseconds))) { $page.Why = 'nobody accepted the connection'; return $page }
        $client.EndConnect($connecting)
        $page.Reached = $true
        $stream = $client.GetStream()
        $stream.WriteTimeout = $milliseconds
        # HTTP/1.0 has no chunks.
        $request = [Text.Encoding]::ASCII.GetBytes("GET $path HTTP/1.0`r`nHost: $name`r`nUser-Agent: flatnet.ops`r`nConnection: close`r`n`r`n")
        $stream.Write($request, 0, $request.Length)
        $answer = New-Object IO.MemoryStream
        $buffer = New-Object byte[] 16384
        while ($answer.Length -lt 1048576) {
            $rest = $milliseconds - [int] $left.ElapsedMilliseconds
            if ($rest -le 0) { $page.Why = "no whole answer in $milliseconds ms"; return $page }
            $stream.ReadTimeout = $rest
            $count = $stream.Read($buffer, 0, $buffer.Length)
            if ($count -eq 0) { break }
            $answer.Write($buffer, 0, $count)
        }
        $text = $Utf8.GetString($answer.ToArray())
    } catch [IO.IOException], [Net.Sockets.SocketException], [ObjectDisposedException] {
        $page.Why = $_.Exception.GetBaseException().Message
        return $page
    } finally {
        $client.Close()
    }
    if ($text -notmatch '^HTTP/1\.[01] (\d{3})') { $page.Why = 'the answer is not HTTP'; return $page }
    $page.Status = [int] $Matches[1]
    $head = $text.IndexOf("`r`n`r`n", [StringComparison]::Ordinal)
    if ($head -ge 0) { $page.Body = $text.Substring($head + 4) }
    return $page
}

function Get-Answer($gateway) {
    $page = Get-Page $gateway.address $gateway.port $gateway.host $gateway.path 2000
    $answer = @{ Kind = 'silent'; Pid = 0; Version = ''; Generation = ''; Why = $page.Why }
    if (-not $page.Reached) { return $answer }
    $answer.Kind = 'stranger'
    if ($page.Status -ne 200 -or $page.Body -notmatch '^(\d{1,9}) (\S+) (\S+)\s*$') {
        if (-not $page.Why) { $answer.Why = "it answered $($page.Status)" }
        return $answer
    }
    $answer.Pid = [int] $Matches[1]
    $answer.Version = $Matches[2]
    $answer.Generation = $Matches[3]
    $ours = Get-Ours $gateway
    if (@($ours | ForEach-Object { $_.Id }) -contains $answer.Pid) { $answer.Kind = 'ours' } else { $answer.Why = "it says that it is PID $($answer.Pid), which is no process of $($gateway.program)" }
    return $answer
}

function Get-Door($gateway) {
    return "http://$($gateway.address):$($gateway.port)$($gateway.path)"
}

function Get-LogEnd($gateway) {
    if (-not [IO.File]::Exists($gateway.error_log)) { return [long] 0 }
    return (New-Object IO.FileInfo $gateway.error_log).Length
}

function Test-Complaint([string] $line, $leaving) {
    if ($line -notmatch '\[(emerg|alert)\] (\d+)#') { return $false }
    # A worker on its way out may find a handle closed already.
    return $Matches[1] -eq 'emerg' -or $leaving -notcontains [int] $Matches[2]
}

function Get-Complaints($gateway, [long] $since, $leaving) {
    if (-not [IO.File]::Exists($gateway.error_log)) { return , @() }
    $sharing = [IO.FileShare]::ReadWrite -bor [IO.FileShare]::Delete
    $log = New-Object IO.FileStream $gateway.error_log, ([IO.FileMode]::Open), ([IO.FileAccess]::Read), $sharing
    try {
        # A log that is shorter than it was has been rotated.
        if ($log.Length -ge $since) { $null = $log.Seek($since, [IO.SeekOrigin]::Begin) }
        $text = (New-Object IO.StreamReader $log, $Utf8).ReadToEnd()
    } finally {
        $log.Dispose()
    }
    return , @($text.Split([char[]] "`r`n", [StringSplitOptions]::RemoveEmptyEntries) | Where-Object { Test-Complaint $_ $leaving } | Select-Object -First 20)
}

function Invoke-Program([string] $program, [string] $arguments, [int] $seconds) {
    $start = New-Object Diagnostics.ProcessStartInfo $program, $arguments
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    try {
        $process = [Diagnostics.Process]::Start($start)
    } catch [ComponentModel.Win32Exception] {
        Fail "the program $program was expected to start, and Windows said '$($_.Exception.GetBaseException().Message)': look whether it is there and may be run"
    }
    # Both at once: a program that waits for one of its pipes never ends.
    $out = $process.StandardOutput.ReadToEndAsync()
    $problems = $process.StandardError.ReadToEndAsync()
    if (-not $process.WaitForExit($seconds * 1000)) {
        $process.Kill()
        Fail "$program $arguments was expected to end within $seconds s, and did not: run it by hand"
    }
    $process.WaitForExit()
    return @{ Code = $process.ExitCode; Text = ($problems.Result + $out.Result).Replace("`0", '').Trim() }
}

function Invoke-Schtasks([string] $arguments) {
    return Invoke-Program $Schtasks $arguments 60
}

function Get-Task([string] $name) {
    $asked = Invoke-Schtasks "/Query /TN `"$name`" /XML"
    if ($asked.Code -ne 0) { return [ordered]@{ exists = $false; enabled = $false } }
    $start = $asked.Text.IndexOf('<Task ', [StringComparison]::Ordinal)
    $end = $asked.Text.IndexOf('</Task>', [StringComparison]::Ordinal)
    if ($start -lt 0 -or $end -lt 0) { Fail "the definition of task $name was expected from schtasks, and '$($asked.Text)' came: query it by hand with schtasks /Query /TN $name /XML" }
    $definition = New-Object Xml.XmlDocument
    $definition.LoadXml($asked.Text.Substring($start, $end + 7 - $start))
    $disabled = $definition.SelectSingleNode("/*[local-name()='Task']/*[local-name()='Settings']/*[local-name()='Enabled' and normalize-space()='false']")
    return [ordered]@{ exists = $true; enabled = $null -eq $disabled }
}

function Set-Task([string] $name, [bool] $enabled) {
    $word = if ($enabled) { '/ENABLE' } else { '/DISABLE' }
    $changed = Invoke-Schtasks "/Change /TN `"$name`" $word"
    if ($changed.Code -ne 0) { Fail "task $name was expected to take $word, and schtasks ended with $($changed.Code), '$($changed.Text)': if it is gone, run playbook flatnet.ops.setup" }
}

function Get-Left($run, [double] $limit) {
    if ($run.Undoing) { return $limit }
    # Whichever clock has gone further: the one on the wall may have been set back, the other began with this process.
    $gone = [Math]::Max((Get-SecondsSince (Find-Entry $run 'begin' -1).at), $run.Watch.Elapsed.TotalSeconds)
    return [Math]::Min($limit, $run.Plan.seconds - $gone)
}

function Assert-Time($run) {
    if ((Get-Left $run 1) -le 0) { Fail "the $($run.Plan.kind) was expected to end within $($run.Plan.seconds) s, and did not" }
}

function Stop-Gateway($run, $gateway, [double] $quitSeconds) {
    $ours = Get-Ours $gateway
    $run.Facts.pids = @($ours | ForEach-Object { $_.Id })
    $run.Facts.how = if ($ours.Count) { 'quit' } else { 'nothing ran' }
    $run.Facts.killed = @()
    foreach ($signal in 'quit', 'stop') {
        $ours = Get-Ours $gateway
        $masters = @($ours | Where-Object { $_.Master } | ForEach-Object { $_.Id })
        # A master without workers has nothing to finish, and may never notice.
        if (-not $masters.Count -or $masters.Count -eq $ours.Count) { continue }
        $run.Facts.how = $signal
        foreach ($id in $masters) { Send-Signal $signal $id }
        # After `stop` nginx gives its workers 5 s.
        $limit = if ($signal -eq 'quit') { $quitSeconds } else { 7 }
        # Without a master nobody tells the workers to go.
        $null = Wait-Until (Get-Left $run $limit) { (Get-Masters $gateway).Count -eq 0 }
        $null = Wait-Until (Get-Left $run 1) { (Get-Ours $gateway).Count -eq 0 }
    }
    $ours = Get-Ours $gateway
    if ($ours.Count) {
        $run.Facts.how = 'kill'
        # Masters first: they start workers anew.
        $killed = @($ours | Sort-Object { -not $_.Master } | ForEach-Object { $_.Id })
        $run.Facts.killed = $killed
        Stop-Ours $gateway $killed
        if (-not (Wait-Until 5 { (Get-Ours $gateway).Count -eq 0 })) {
            $left = @((Get-Ours $gateway) | ForEach-Object { $_.Id }) -join ', '
            Fail "every process of $($gateway.program) was expected to be gone, and PIDs $left are left: end them in the Task Manager as administrator"
        }
    }
}

function Clear-Orphans($run, $gateway) {
    $ours = Get-Ours $gateway
    $masters = @($ours | Where-Object { $_.Master })
    # A worker that is older than every master has lost its own.
    $orphans = @($ours | Where-Object { -not $_.Master -and (-not $masters.Count -or $_.Started -lt $masters[0].Started) } | ForEach-Object { $_.Id })
    if (-not $orphans.Count) { return }
    $run.Facts.orphans_killed = $orphans
    Stop-Ours $gateway $orphans
}

function Start-Gateway($run, $gateway, [string] $generation, [double] $seconds, [long] $log, [bool] $named) {
    $limit = Get-Left $run $seconds
    $waited = [Diagnostics.Stopwatch]::StartNew()
    $asked = -10.0
    $bare = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        $ours = Get-Ours $gateway
        $masters = @($ours | Where-Object { $_.Master } | ForEach-Object { $_.Id })
        # After a reload nginx cannot start a worker anew that has died: its master stays, and nobody answers.
        if ($asked -ge 0 -or -not $masters.Count -or $masters.Count -lt $ours.Count) { $bare.Restart() }
        if ($bare.Elapsed.TotalSeconds -gt 5) {
            $run.Facts.bare_master_killed = $masters
            Stop-Ours $gateway $masters
            $bare.Restart()
            continue
        }
        $answer = Get-Answer $gateway
        if ($masters.Count -eq 1 -and $answer.Kind -eq 'ours' -and ($answer.Generation -eq $generation -or -not $generation)) { return $answer }
        # A gateway that did not say who it is before need not say it when it is back.
        if ($masters.Count -eq 1 -and $answer.Kind -eq 'stranger' -and -not $named) { return $answer }
        if (-not $masters.Count) {
            $complaints = Get-Complaints $gateway $log @()
            if ($asked -ge 0 -and $complaints.Count) { Fail "the gateway was expected to start, and its log says '$($complaints[0])': put that right and start it again" }
            # The scheduler ignores a request while it thinks that the last instance runs.
            if ($waited.Elapsed.TotalSeconds -ge $asked + 3) {
                Clear-Orphans $run $gateway
                $started = Invoke-Schtasks "/Run /TN `"$($gateway.task)`""
                if ($started.Code -ne 0) { Fail "task $($gateway.task) was expected to start the gateway, and schtasks ended with $($started.Code), '$($started.Text)': if it is gone, run playbook flatnet.ops.setup" }
                $asked = $waited.Elapsed.TotalSeconds
            }
        }
        if ($waited.Elapsed.TotalSeconds -ge $limit) { break }
        [Threading.Thread]::Sleep(25)
    }
    $wanted = if ($generation) { " with generation $generation" } else { '' }
    $came = if ($answer.Kind -eq 'ours') { "generation $($answer.Generation) did" } elseif ($answer.Why) { $answer.Why } else { 'it did not' }
    Fail "one master of $($gateway.program) was expected to answer at $(Get-Door $gateway)$wanted within $([int] $limit) s, and $came ($($masters.Count) masters): look at $($gateway.error_log), and whether identity.conf is included"
}

function Update-Gateway($run, $gateway, [string] $generation, [double] $seconds, $before) {
    $masters = Get-Masters $gateway
    # Somebody may have started another one since the look.
    Deny-Many $gateway $masters
    if (-not $masters.Count) { Fail "one master of $($gateway.program) was expected to take the reload, and there is none: run the restart" }
    $old = @($before.workers)
    $answer = Get-Answer $gateway
    # Taken up again after it was signalled already.
    if ($answer.Kind -eq 'ours' -and $old -notcontains $answer.Pid -and $generation -and $answer.Generation -eq $generation) { return $answer }
    Send-Signal 'reload' $masters[0]
    $limit = Get-Left $run $seconds
    $waited = [Diagnostics.Stopwatch]::StartNew()
    $good = 0
    $run.Facts.asked = 0
    $run.Facts.unanswered = 0
    $run.Facts.longest_ms = 0
    $last = [long] 0
    while ($true) {
        $answer = Get-Answer $gateway
        $run.Facts.asked++
        $now = $waited.ElapsedMilliseconds
        if ($answer.Kind -eq 'ours') {
            $run.Facts.longest_ms = [Math]::Max($run.Facts.longest_ms, $now - $last)
            $last = $now
        } else {
            $run.Facts.unanswered++
        }
        # Old and new workers answer in turn for a moment.
        if ($answer.Kind -eq 'ours' -and $old -notcontains $answer.Pid -and ($answer.Generation -eq $generation -or -not $generation)) { $good++ } else { $good = 0 }
        if ($good -ge 3) { break }
        # The identity may not be included yet: then a new process is what there is to see.
        if (-not $generation -and $answer.Kind -ne 'ours') {
            $ours = Get-Ours $gateway
            if (@($ours | Where-Object { -not $_.Master -and $old -notcontains $_.Id }).Count) { break }
        }
        $complaints = Get-Complaints $gateway $before.log $old
        if ($complaints.Count) { Fail "the reload was expected to leave the error log clean, and it says '$($complaints[0])'" }
        if ($waited.Elapsed.TotalSeconds -ge $limit) {
            $came = if ($answer.Kind -eq 'ours') { "PID $($answer.Pid) with generation $($answer.Generation) did" } else { $answer.Why }
            Fail "a new worker with generation $generation was expected to answer at $(Get-Door $gateway) within $([int] $limit) s, and $came`: look at $($gateway.error_log), and whether identity.conf is included"
        }
        [Threading.Thread]::Sleep(10)
    }
    return $answer
}

function Set-Answer($run, $answer) {
    $run.Facts.pid = $answer.Pid
    $run.Facts.version = $answer.Version
    $run.Facts.generation = $answer.Generation
}

function Find-Locked([string] $folder) {
    $locked = @()
    foreach ($file in [IO.Directory]::GetFiles($folder, '*', [IO.SearchOption]::AllDirectories)) {
        try {
            (New-Object IO.FileStream $file, ([IO.FileMode]::Open), ([IO.FileAccess]::Read), ([IO.FileShare]::None)).Dispose()
        } catch [IO.IOException] {
            if (Test-Shared $_) { $locked += $file }
        } catch [UnauthorizedAccessException] {
            # It need not be read to be moved.
            continue
        }
    }
    return , $locked
}

function Assert-Free([string] $folder) {
    $locked = Find-Locked $folder
    if ($locked.Count) { Fail "no file in $folder was expected to be open, and some program holds $($locked -join ', '): close it (an editor, a console, a virus scanner) and run this again" }
}

function Get-Digest([byte[]] $bytes) {
    $sum = [Security.Cryptography.SHA256]::Create()
    try { return [BitConverter]::ToString($sum.ComputeHash($bytes)).Replace('-', '').ToLowerInvariant() } finally { $sum.Dispose() }
}

function Get-TreeDigest([string] $folder) {
    # As gateway_state.digest_of has it; what lies in flatnet is ours.
    $names = New-Object 'Collections.Generic.List[string]'
    foreach ($file in [IO.Directory]::GetFiles($folder, '*', [IO.SearchOption]::AllDirectories)) { $names.Add($file.Substring($folder.Length + 1).Replace('\', '/')) }
    $names.Sort([StringComparer]::Ordinal)
    $text = New-Object Text.StringBuilder
    foreach ($name in $names) {
        if ($name.StartsWith('flatnet/', [StringComparison]::OrdinalIgnoreCase)) { continue }
        $null = $text.Append((Get-Digest ([IO.File]::ReadAllBytes((Join-Path $folder $name))))).Append('  ').Append($name).Append("`n")
    }
    return Get-Digest $Utf8.GetBytes($text.ToString())
}

function Move-Tree([string] $from, [string] $to) {
    if ([IO.Directory]::Exists($to) -and [IO.Directory]::Exists($from)) { Fail "$to was expected not to exist when $from is moved there: somebody made it meanwhile; move it away" }
    if ([IO.Directory]::Exists($to)) { return }
    if (-not [IO.Directory]::Exists($from)) { Fail "$from was expected to be moved to $to, and neither is there" }
    $null = [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($to))
    $refusal = @{ Why = '' }
    # A virus scanner holds a file for a moment.
    $moved = Wait-Until 2 {
        try {
            [IO.Directory]::Move($from, $to)
            return $true
        } catch [IO.IOException], [UnauthorizedAccessException] {
            $refusal.Why = $_.Exception.GetBaseException().Message
            return $false
        }
    }
    if (-not $moved) {
        Assert-Free $from
        Fail "$from was expected to be renamed to $to, and Windows said '$($refusal.Why)': close what has that folder open, and look at its permissions"
    }
}

function Remove-Tree([string] $folder) {
    if (-not [IO.Directory]::Exists($folder)) { return }
    foreach ($file in [IO.Directory]::GetFiles($folder, '*', [IO.SearchOption]::AllDirectories)) { [IO.File]::SetAttributes($file, [IO.FileAttributes]::Normal) }
    [IO.Directory]::Delete($folder, $true)
}

function Write-File([string] $path, [byte[]] $bytes) {
    $beside = "$path.flatnet-new"
    try {
        $file = New-Object IO.FileStream $beside, ([IO.FileMode]::Create), ([IO.FileAccess]::Write), ([IO.FileShare]::None)
    } catch [UnauthorizedAccessException] {
        Fail "$path was expected to be written, and Windows said '$($_.Exception.GetBaseException().Message)': look at the permissions of that folder"
    }
    try { Write-Durable $file $bytes } finally { $file.Dispose() }
    if ([IO.File]::Exists($path)) {
        [IO.File]::SetAttributes($path, [IO.FileAttributes]::Normal)
        [IO.File]::Replace($beside, $path, [NullString]::Value)
    } else {
        [IO.File]::Move($beside, $path)
    }
}

function Test-Page($run, $gateway, $probe) {
    $door = "http://$($probe.host):$($gateway.port)$($probe.path)"
    $limit = Get-Left $run $probe.seconds
    $waited = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        $page = Get-Page $gateway.address $gateway.port $probe.host $probe.path ([int] ($probe.seconds * 1000))
        $matched = $page.Status -eq $probe.status
        if ($matched -and $probe.pattern) { $matched = [regex]::IsMatch($page.Body, $probe.pattern, 'None', [TimeSpan]::FromSeconds(2)) }
        if ($matched) { return $door }
        if ($waited.Elapsed.TotalSeconds -ge $limit) { break }
        [Threading.Thread]::Sleep(100)
    }
    $wanted = if ($probe.pattern) { "$($probe.status) and a body like '$($probe.pattern)'" } else { "$($probe.status)" }
    $came = if ($page.Status) { "$($page.Status) and '$($page.Body.Substring(0, [Math]::Min(200, $page.Body.Length)).Trim())'" } else { "no answer ($($page.Why))" }
    Fail "$wanted was expected from $door through the gateway, and $came came"
}

function Get-Before($run, $step) {
    $gateway = $run.Plan.gateway
    switch ($step.do) {
        'look' {
            $ours = Get-Ours $gateway
            $answer = Get-Answer $gateway
            $masters = @($ours | Where-Object { $_.Master } | ForEach-Object { $_.Id })
            return [ordered]@{
                running = $masters.Count -gt 0
                masters = $masters
                workers = @($ours | Where-Object { -not $_.Master } | ForEach-Object { $_.Id })
                answer = $answer.Kind
                pid = $answer.Pid
                version = $answer.Version
                generation = if ($answer.Kind -eq 'ours') { $answer.Generation } else { '' }
                why = $answer.Why
                task = Get-Task $gateway.task
            }
        }
        'write' {
            $files = @()
            foreach ($file in $step.files) {
                $path = Join-Path $step.folder $file.name
                $existed = [IO.File]::Exists($path)
                $files += [ordered]@{ name = $file.name; existed = $existed; base64 = if ($existed) { [Convert]::ToBase64String([IO.File]::ReadAllBytes($path)) } else { '' } }
            }
            return [ordered]@{ folder = [IO.Directory]::Exists($step.folder); files = $files }
        }
        'task' {
            $enabled = (Find-Begun $run 'look').before.task.enabled
            foreach ($entry in $run.Entries) {
                if ($entry.event -eq 'done' -and (Get-Field $entry.facts 'enabled' $null) -ne $null) { $enabled = $entry.facts.enabled }
            }
            return [ordered]@{ enabled = $enabled }
        }
        { $_ -eq 'start' -or $_ -eq 'reload' } {
            $ours = Get-Ours $gateway
            return [ordered]@{ workers = @($ours | Where-Object { -not $_.Master } | ForEach-Object { $_.Id }); log = Get-LogEnd $gateway }
        }
        'verify' {
            return [ordered]@{ log = Get-LogEnd $gateway }
        }
        default {
            return [ordered]@{}
        }
    }
}

function Invoke-Step($run, $step, $before) {
    $gateway = $run.Plan.gateway
    $look = Find-Begun $run 'look'
    switch ($step.do) {
        'look' {
            if (-not [IO.File]::Exists($gateway.program)) { Fail "the gateway's program was expected at $($gateway.program), and is not there: look at the inventory, or run playbook flatnet.ops.setup" }
            if (-not $step.many) { Deny-Many $gateway $before.masters }
            if ($step.running -and -not $before.running) { Fail "a running gateway was expected, and no master of $($gateway.program) is there$(if ($before.workers.Count) { " (workers without one: PIDs $($before.workers -join ', '))" }): run the start" }
            if ($step.own_port -and -not $before.running -and $before.answer -eq 'stranger') { Fail "port $($gateway.port) was expected to be free for the gateway, and a foreign program answers there ($($before.why)): end it, or give one of them another port" }
            if ($step.task -and -not $before.task.exists) { Fail "task $($gateway.task) was expected, and is not there: run playbook flatnet.ops.setup" }
        }
        'free' {
            Assert-Free $step.folder
            $digest = Get-Field $step 'digest' ''
            if ($digest -and (Get-TreeDigest $step.folder) -ne $digest) { Fail "$($step.folder) was expected to be as it was when the rollout was planned, and somebody has changed it since: look who did, and roll out again" }
        }
        'write' {
            $null = [IO.Directory]::CreateDirectory($step.folder)
            foreach ($file in $step.files) { Write-File (Join-Path $step.folder $file.name) $Utf8.GetBytes($file.text) }
        }
        'carry' {
            # What is ours is taken from the live tree at the last moment: the address of WSL2 may have moved since the tree was rendered.
            Remove-Tree $step.to
            $null = [IO.Directory]::CreateDirectory($step.to)
            $carried = @()
            if ([IO.Directory]::Exists($step.from)) {
                foreach ($file in [IO.Directory]::GetFiles($step.from)) {
                    $name = [IO.Path]::GetFileName($file)
                    Write-File (Join-Path $step.to $name) ([IO.File]::ReadAllBytes($file))
                    $carried += $name
                }
            }
            foreach ($file in $step.files) { Write-File (Join-Path $step.to $file.name) $Utf8.GetBytes($file.text) }
            $run.Facts.carried = $carried
        }
        'test' {
            $null = [IO.Directory]::CreateDirectory((Join-Path $gateway.prefix 'logs'))
            $tested = Invoke-Program $gateway.program "-t -p `"$($gateway.prefix)`" -c `"$($step.configuration)`"" 60
            $run.Facts.exit = $tested.Code
            $run.Facts.output = $tested.Text
            if ($tested.Code -ne 0) {
                $why = @($tested.Text.Split([char[]] "`r`n") | Where-Object { $_ -match '\[emerg\]' }) + $tested.Text
                Fail "nginx was expected to accept the configuration $($step.configuration), and said '$($why[0])': correct it"
            }
        }
        'task' {
            $wanted = if ($step.state -eq 'before') { $look.before.task.enabled } else { $step.state -eq 'enabled' }
            $run.Facts.enabled = $wanted
            # Taken up again it may be done already; to do it twice does no harm.
            if ($look.before.task.exists -and ($wanted -ne $before.enabled)) { Set-Task $gateway.task $wanted }
        }
        'rename' {
            Move-Tree $step.from $step.to
        }
        'stop' {
            Stop-Gateway $run $gateway $step.quit_seconds
        }
        'start' {
            $answer = Start-Gateway $run $gateway $step.generation $step.seconds $before.log $true
            Clear-Orphans $run $gateway
            Set-Answer $run $answer
            $stopped = Find-Begun $run 'stop'
            if ($stopped -and $look.before.running) { $run.Facts.gap_ms = [long] (1000 * (Get-SecondsSince $stopped.at)) }
        }
        'reload' {
            if (-not $look.before.running) { $run.Facts.skipped = 'the gateway does not run'; return }
            if ((Get-Masters $gateway).Count) {
                $answer = Update-Gateway $run $gateway $step.generation $step.seconds $before
            } else {
                # The host has booted since the plan began.
                $answer = Start-Gateway $run $gateway $step.generation $step.seconds $before.log $true
            }
            Set-Answer $run $answer
            $run.Facts.gap_ms = if ((Get-Field ([pscustomobject] $run.Facts) 'unanswered' 0) -gt 0) { $run.Facts.longest_ms } else { 0 }
        }
        'verify' {
            if ($step.if_running -and -not $look.before.running) { $run.Facts.skipped = 'the gateway does not run'; return }
            $answer = Get-ProvedAnswer $run $gateway $step
            $run.Facts.probes = @($step.probes | ForEach-Object { Test-Page $run $gateway $_ })
            [Threading.Thread]::Sleep([int] [Math]::Max(0, [Math]::Min($step.hold_ms, 1000 * (Get-Left $run 60))))
            $again = Get-ProvedAnswer $run $gateway $step
            if ($again.Pid -ne $answer.Pid) { Fail "the worker with PID $($answer.Pid) was expected to go on answering, and PID $($again.Pid) does: look in $($gateway.error_log) why workers end" }
            $reloaded = Find-Begun $run 'reload'
            $leaving = if ($reloaded) { $reloaded.before.workers } else { 0 }
            $complaints = Get-Complaints $gateway $before.log $leaving
            if ($complaints.Count) { Fail "the error log was expected to stay clean, and it says '$($complaints[0])'" }
            Set-Answer $run $again
        }
    }
}

function Get-ProvedAnswer($run, $gateway, $step) {
    $seen = @{ Answer = $null; Masters = @() }
    $good = Wait-Until (Get-Left $run 5) {
        $seen.Answer = Get-Answer $gateway
        $seen.Masters = Get-Masters $gateway
        $seen.Masters.Count -eq 1 -and $seen.Answer.Kind -eq 'ours' -and ($seen.Answer.Generation -eq $step.generation -or -not $step.generation)
    }
    if ($good) { return $seen.Answer }
    $came = if ($seen.Answer.Kind -eq 'ours') { "PID $($seen.Answer.Pid) with generation $($seen.Answer.Generation) did" } elseif ($seen.Answer.Why) { $seen.Answer.Why } else { 'nobody did' }
    Fail "one master of $($gateway.program) was expected to answer at $(Get-Door $gateway)$(if ($step.generation) { " with generation $($step.generation)" }), and $came ($($seen.Masters.Count) masters)"
}

function Undo-Step($run, $step, $before) {
    $gateway = $run.Plan.gateway
    switch ($step.do) {
        'look' {
            Restore-Gateway $run $gateway $before
        }
        'write' {
            foreach ($file in $before.files) {
                $path = Join-Path $step.folder $file.name
                if ($file.existed) {
                    $old = [Convert]::FromBase64String($file.base64)
                    # It may not have come to the write.
                    if (-not [IO.File]::Exists($path) -or [Convert]::ToBase64String([IO.File]::ReadAllBytes($path)) -ne $file.base64) { Write-File $path $old }
                } elseif ([IO.File]::Exists($path)) {
                    [IO.File]::Delete($path)
                }
                [IO.File]::Delete("$path.flatnet-new")
            }
            if (-not $before.folder -and [IO.Directory]::Exists($step.folder) -and -not [IO.Directory]::GetFileSystemEntries($step.folder).Length) { [IO.Directory]::Delete($step.folder) }
        }
        'task' {
            if ((Find-Begun $run 'look').before.task.exists) { Set-Task $gateway.task $before.enabled }
        }
        'rename' {
            # It may not have come to the rename.
            if ([IO.Directory]::Exists($step.to)) { Move-Tree $step.to $step.from }
        }
    }
}

function Restore-Gateway($run, $gateway, $before) {
    $stopped = Find-Begun $run 'stop'
    $reloaded = Find-Begun $run 'reload'
    $started = Find-Begun $run 'start'
    if (-not $before.running) {
        # Workers without a master that were there before are not ours to end.
        if ($started) { Stop-Gateway $run $gateway 5 }
        return
    }
    $masters = Get-Masters $gateway
    $answer = Get-Answer $gateway
    $as_before = $masters.Count -ge 1 -and ($answer.Generation -eq $before.generation -or $before.answer -ne 'ours')
    if ($as_before -and -not $stopped -and -not $reloaded) { return }
    $log = Get-LogEnd $gateway
    # Where nobody answers there is no time to lose with a reload.
    if ($masters.Count -eq 1 -and $answer.Kind -ne 'silent') {
        $ours = Get-Ours $gateway
        $now = [pscustomobject]@{ workers = @($ours | Where-Object { -not $_.Master } | ForEach-Object { $_.Id }); log = $log }
        try {
            $back = Update-Gateway $run $gateway $before.generation 15 $now
            Set-Answer $run $back
            return
        } catch [InvalidOperationException] {
            # A master that does not take the old configuration back is replaced.
            $run.Facts.reload = Get-Reason $_
        }
    }
    Stop-Gateway $run $gateway 5
    if (-not $before.task.exists) { Fail "the gateway was expected to be started again by task $($gateway.task), and that task is not there: start it by hand, and run playbook flatnet.ops.setup" }
    if (-not $before.task.enabled) { Set-Task $gateway.task $true }
    try {
        $back = Start-Gateway $run $gateway $before.generation 30 (Get-LogEnd $gateway) ($before.answer -eq 'ours')
        Set-Answer $run $back
    } finally {
        if (-not $before.task.enabled) { Set-Task $gateway.task $false }
    }
    if ($stopped) { $run.Facts.gap_ms = [long] (1000 * (Get-SecondsSince $stopped.at)) }
}

function Get-State($gateway) {
    $ours = Get-Ours $gateway
    $seen = @{ Answer = $null }
    # While workers take turns a request may fail.
    $null = Wait-Until 1 {
        $seen.Answer = Get-Answer $gateway
        $seen.Answer.Kind -eq 'ours' -or -not $ours.Count
    }
    $answer = $seen.Answer
    return [ordered]@{
        masters = @($ours | Where-Object { $_.Master } | ForEach-Object { $_.Id })
        workers = @($ours | Where-Object { -not $_.Master } | ForEach-Object { $_.Id })
        answer = $answer.Kind
        pid = $answer.Pid
        version = $answer.Version
        generation = $answer.Generation
    }
}

function Get-Gap($run) {
    $gap = $null
    foreach ($entry in $run.Entries) {
        $facts = Get-Field $entry 'facts' $null
        if ($null -ne $facts) { $gap = Get-Field $facts 'gap_ms' $gap }
    }
    return $gap
}

function Invoke-Forward($run) {
    for ($number = 0; $number -lt $run.Plan.steps.Count; $number++) {
        $step = $run.Plan.steps[$number]
        if (Find-Entry $run 'done' $number) { continue }
        $run.At = $number
        $run.Facts = [ordered]@{}
        Assert-Time $run
        $begun = Find-Entry $run 'step' $number
        if (-not $begun) { $begun = Add-Entry $run 'step' ([ordered]@{ step = $number; do = $step.do; before = Get-Before $run $step }) }
        $took = [Diagnostics.Stopwatch]::StartNew()
        $null = Invoke-Step $run $step $begun.before
        $null = Add-Entry $run 'done' ([ordered]@{ step = $number; ms = $took.ElapsedMilliseconds; facts = $run.Facts })
    }
    $null = Add-Entry $run 'end' ([ordered]@{ outcome = 'done'; why = ''; gap_ms = Get-Gap $run; gateway = Get-State $run.Plan.gateway })
}

function Invoke-Undo($run, [string] $why) {
    $run.Undoing = $true
    $stuck = @()
    for ($number = $run.Plan.steps.Count - 1; $number -ge 0; $number--) {
        $step = $run.Plan.steps[$number]
        $begun = Find-Entry $run 'step' $number
        if (-not $begun -or (Find-Entry $run 'undone' $number) -or 'look', 'write', 'task', 'rename' -notcontains $step.do) { continue }
        $run.Facts = [ordered]@{}
        $null = Add-EntryIfPossible $run 'undo' ([ordered]@{ step = $number; do = $step.do })
        try {
            $null = Undo-Step $run $step $begun.before
        } catch {
            # Whatever cannot be undone, the rest is.
            $stuck += Get-Reason $_
            $null = Add-EntryIfPossible $run 'stuck' ([ordered]@{ step = $number; why = Get-Reason $_; facts = $run.Facts })
            continue
        }
        $null = Add-EntryIfPossible $run 'undone' ([ordered]@{ step = $number; facts = $run.Facts })
    }
    $outcome = if ($stuck.Count) { 'stranded' } else { 'undone' }
    return Add-EntryIfPossible $run 'end' ([ordered]@{ outcome = $outcome; why = (@($why) + $stuck) -join '; '; gap_ms = Get-Gap $run; gateway = Get-State $run.Plan.gateway })
}

function Invoke-Run($run) {
    $failed = Find-Entry $run 'failed' -1
    $why = if ($failed) { $failed.why } else { '' }
    $run.At = -1
    if (-not $failed) {
        try {
            Invoke-Forward $run
            [IO.File]::Delete($run.Reserve)
            return 0
        } catch {
            $why = Get-Reason $_
            $null = Add-EntryIfPossible $run 'failed' ([ordered]@{ step = $run.At; why = $why; facts = $run.Facts })
        }
    }
    if (Invoke-Undo $run $why) { [IO.File]::Delete($run.Reserve) }
    return 1
}

function Resume-Run($run) {
    try {
        $run.Plan = Read-Plan $run.Folder
    } catch {
        $null = Add-EntryIfPossible $run 'end' ([ordered]@{ outcome = 'stranded'; why = "the plan that was begun cannot be read any more: $(Get-Reason $_)"; gap_ms = $null; gateway = $null })
        return 1
    }
    $times = @($run.Entries | Where-Object { $_.event -eq 'taken_up' }).Count
    $null = Add-EntryIfPossible $run 'taken_up' ([ordered]@{ pid = $PID; after = $run.Entries[$run.Entries.Count - 1].n })
    if ($times -ge $MostTakenUp -and -not (Find-Entry $run 'failed' -1)) {
        $null = Add-EntryIfPossible $run 'failed' ([ordered]@{ step = -1; why = "act.ps1 was expected to end the $($run.Plan.kind), and died $($times + 1) times"; facts = [ordered]@{} })
    }
    return Invoke-Run $run
}

function Start-Run($run, $settled) {
    $bytes = [IO.File]::ReadAllBytes((Join-Path $run.Folder 'plan.json'))
    try {
        $reserve = New-Object IO.FileStream $run.Reserve, ([IO.FileMode]::Create), ([IO.FileAccess]::Write), ([IO.FileShare]::None)
        try { Write-Durable $reserve (New-Object byte[] $ReserveBytes) } finally { $reserve.Dispose() }
    } catch [IO.IOException] {
        $why = $_.Exception.GetBaseException().Message
        [IO.File]::Delete($run.Reserve)
        Deny-Run $run "room for the journal was expected in $($run.Folder), and Windows said '$why': make room on that disk"
        return 1
    }
    $null = Add-Entry $run 'begin' ([ordered]@{ format = $Format; id = $run.Id; kind = $run.Plan.kind; pid = $PID; plan_sha256 = Get-Digest $bytes; settled = @($settled) })
    return Invoke-Run $run
}

function Deny-Run($run, [string] $why) {
    $null = Add-Entry $run 'end' ([ordered]@{ outcome = 'refused'; why = $why; gap_ms = $null; gateway = $null })
}

function Get-Transactions([string] $root) {
    return , @([IO.Directory]::GetDirectories($root) | Where-Object { -not [IO.Path]::GetFileName($_).StartsWith('.') -and [IO.File]::Exists((Join-Path $_ 'plan.json')) } | Sort-Object)
}

function Open-Run([string] $folder) {
    # Somebody else who writes into it has it in hand.
    $journal = Open-Journal $folder
    if ($null -eq $journal) { return }
    try {
        return New-Run $folder $journal
    } catch [ArgumentException] {
        # Nobody knows how far that one came; who reads its journal is told so.
        $journal.Dispose()
    }
}

function Deny-Waiting([string] $root, [string] $holder) {
    $denied = 0
    $folders = Get-Transactions $root
    foreach ($folder in $folders) {
        if ([IO.Path]::GetFileName($folder) -eq $holder) { continue }
        $run = Open-Run $folder
        if ($null -eq $run) { continue }
        try {
            if (-not $run.Entries.Count) {
                Deny-Run $run "no other transaction was expected, and $holder is under way: wait for its end and ask again"
                $denied++
            }
        } finally {
            $run.Journal.Dispose()
        }
    }
    return $denied
}

function Set-Holder([IO.FileStream] $lock, [string] $id) {
    $bytes = $Utf8.GetBytes($id)
    $lock.SetLength(0)
    if ($bytes.Length) { $lock.Write($bytes, 0, $bytes.Length) }
    $lock.Flush($true)
}

function Get-Holder([string] $path) {
    $sharing = [IO.FileShare]::ReadWrite -bor [IO.FileShare]::Delete
    $file = New-Object IO.FileStream $path, ([IO.FileMode]::Open), ([IO.FileAccess]::Read), $sharing
    try { return (New-Object IO.StreamReader $file, $Utf8).ReadToEnd() } finally { $file.Dispose() }
}

function Enter-Lock([string] $root) {
    $path = Join-Path $root 'lock'
    $waited = [Diagnostics.Stopwatch]::StartNew()
    while ($true) {
        try {
            return @{ File = New-Object IO.FileStream $path, ([IO.FileMode]::OpenOrCreate), ([IO.FileAccess]::ReadWrite), ([IO.FileShare]::Read); Holder = '' }
        } catch [IO.IOException] {
            if (-not (Test-Shared $_)) { throw }
        }
        # Who looks at the lock holds it for a moment; who has no name in it is about to begin, or has just ended.
        $holder = if ($waited.ElapsedMilliseconds -gt 300) { Get-Holder $path }
        if ($holder) { return @{ File = $null; Holder = $holder } }
        if ($waited.Elapsed.TotalSeconds -gt 20) { Fail "the lock $path was expected to be free or to name a transaction, and is held without a name: end the process that has it open" }
        [Threading.Thread]::Sleep(50)
    }
}

function Remove-Old([string] $root) {
    # A rename first: what dies half way must not look like a transaction.
    $ended = @()
    $folders = Get-Transactions $root
    foreach ($folder in $folders) {
        $run = Open-Run $folder
        if ($null -eq $run) { continue }
        $run.Journal.Dispose()
        if (Find-Entry $run 'end' -1) { $ended += $folder }
    }
    if ($ended.Count -gt $Keep) {
        foreach ($folder in $ended[0..($ended.Count - $Keep - 1)]) {
            $id = [IO.Path]::GetFileName($folder)
            $plan = ConvertFrom-Json -InputObject ([IO.File]::ReadAllText((Join-Path $folder 'plan.json'), $Utf8))
            $trees = Get-Field $plan 'trees' ''
            # Only what bears the transaction's own name is its own.
            if ($trees -and [IO.Path]::GetFileName($trees) -eq $id) { Remove-Tree $trees }
            [IO.Directory]::Move($folder, (Join-Path $root ".gone-$id"))
        }
    }
    foreach ($folder in [IO.Directory]::GetDirectories($root, '.gone-*')) { Remove-Tree $folder }
}

function Invoke-Waiting([string] $root, [IO.FileStream] $lock) {
    $code = 0
    $settled = @()
    $folders = Get-Transactions $root
    foreach ($folder in $folders) {
        $run = Open-Run $folder
        if ($null -eq $run) { continue }
        try {
            if (-not $run.Entries.Count -or (Find-Entry $run 'end' -1)) { continue }
            Set-Holder $lock $run.Id
            $code = [Math]::Max($code, (Resume-Run $run))
            $settled += $run.Id
        } finally {
            $run.Journal.Dispose()
        }
    }
    $begun = $false
    $folders = Get-Transactions $root
    foreach ($folder in $folders) {
        $run = Open-Run $folder
        if ($null -eq $run) { continue }
        try {
            if ($run.Entries.Count) { continue }
            try {
                $run.Plan = Read-Plan $folder
                $age = ([DateTime]::UtcNow - [IO.File]::GetLastWriteTimeUtc((Join-Path $folder 'plan.json'))).TotalSeconds
                # The wish of a depositor who is long gone must not come true by surprise.
                if ([Math]::Abs($age) -gt $run.Plan.begin_within) { Fail "the plan was expected to begin within $($run.Plan.begin_within) s, and was found $([int] $age) s after it was deposited: ask again" }
            } catch {
                Deny-Run $run (Get-Reason $_)
                $code = [Math]::Max($code, 1)
                continue
            }
            if ($begun) { continue }
            $begun = $true
            Set-Holder $lock $run.Id
            if (Deny-Waiting $root $run.Id) { $code = 3 }
            $code = [Math]::Max($code, (Start-Run $run $settled))
        } finally {
            $run.Journal.Dispose()
        }
    }
    return $code
}

function Invoke-Transactions([string] $root) {
    $lock = Enter-Lock $root
    if ($lock.Holder) {
        if (Deny-Waiting $root $lock.Holder) { return 3 }
        return 0
    }
    try {
        $code = Invoke-Waiting $root $lock.File
        # From here on nobody is refused by the name of what has ended.
        Set-Holder $lock.File ''
        Remove-Old $root
        return $code
    } finally {
        $lock.File.Dispose()
    }
}

if (-not $FunctionsOnly) {
    try {
        exit (Invoke-Transactions $PSScriptRoot)
    } catch {
        # A task shows its errors to nobody.
        [IO.File]::WriteAllText((Join-Path $PSScriptRoot 'act.log'), "$(New-Stamp) PID $PID died: $(Get-Reason $_)`r`n$($_.ScriptStackTrace)`r`n", $Utf8)
        exit 2
    }
}
