# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Stands for schtasks.exe of Windows 10 and 11: the client of the task scheduler, which here is the lab's.
# Seen in public reports of the real one: the SUCCESS lines of /Create, /Run, /Change and /Delete; "The system cannot find the file
# specified." of /Query, /End and /Delete for a task that is not there, and the other sentence of /Change; ERROR on standard error with
# exit code 1; the columns of CSV and LIST, and that CSV does not double a quote in Task To Run; 267009 and 267011 with 11/30/1999.
# Assumed: the wording of every other answer and refusal; that a disabled task cannot be run; that /End of a task that does not run
# succeeds, and that it ends everything which the task has started; that /Change /ENABLE registers the task again, so that a boot
# trigger waits for the next boot; that "Disabled" comes before "Running"; that XML goes out in the encoding of the console.
# Not here: /Create without /XML, a heading for each folder in tables and lists, the columns that describe triggers, other computers
# (/S, /U, /P), other languages than English. An unknown option is refused.
. "$PSScriptRoot\lab.ps1"

$Culture = [System.Globalization.CultureInfo]::InvariantCulture
$Takes = @{
    CREATE = @('TN', 'XML', 'RU', 'RP'); DELETE = @('TN'); RUN = @('TN'); END = @('TN'); CHANGE = @('TN'); QUERY = @('TN', 'FO')
}
$Switches = @{
    CREATE = @('F'); DELETE = @('F'); RUN = @('I'); END = @(); CHANGE = @('ENABLE', 'DISABLE'); QUERY = @('V', 'NH', 'XML')
}

function Stop-Stub {
    param([string] $Message)
    Write-ErrorLine "ERROR: $Message"
    exit 1
}

function Read-Option {
    # The options of one operation, by name; what takes no value has $true.
    param([string] $Operation, [string[]] $Words)
    $options = @{}
    for ($i = 0; $i -lt $Words.Count; $i++) {
        $name = $Words[$i].Substring(1).ToUpperInvariant()
        if ($Words[$i] -notmatch '^[/-]' -or $Takes[$Operation] + $Switches[$Operation] -notcontains $name) {
            Stop-Stub "Invalid argument/option - '$($Words[$i])'.`nType `"SCHTASKS /$Operation /?`" for usage."
        }
        if ($options.ContainsKey($name)) { Stop-Stub "Invalid syntax. '/$name' option is not allowed more than '1' time(s)." }
        $options[$name] = $true
        if ($Takes[$Operation] -contains $name) {
            if ($i + 1 -ge $Words.Count) {
                Stop-Stub "Invalid syntax. Value expected for '$($Words[$i])'.`nType `"SCHTASKS /$Operation /?`" for usage."
            }
            $i++
            $options[$name] = $Words[$i]
        }
        # /XML ONE and /XML alone are the same for one task.
        elseif ($name -eq 'XML' -and $i + 1 -lt $Words.Count -and $Words[$i + 1] -eq 'ONE') { $i++ }
    }
    if ($Operation -ne 'QUERY' -and -not $options.ContainsKey('TN')) {
        Stop-Stub "Invalid syntax. Mandatory option 'TN' is missing.`nType `"SCHTASKS /$Operation /?`" for usage."
    }
    return $options
}

function Format-Time {
    param($Time)
    if ($null -eq $Time) { return 'N/A' }
    if ($Time -is [string]) { $Time = [datetimeoffset]::Parse($Time, $Culture).UtcDateTime }
    return ([datetime] $Time).ToUniversalTime().ToString('M/d/yyyy h:mm:ss tt', $Culture)
}

function Get-Column {
    # What /Query says of one task, in the order in which it says it.
    param($Task, [bool] $Verbose)
    $status = 'Ready'
    if ($Task.running -gt 0) { $status = 'Running' }
    if (-not $Task.enabled) { $status = 'Disabled' }
    $columns = [ordered] @{}
    if ($Verbose) { $columns['HostName'] = $env:COMPUTERNAME }
    $columns['TaskName'] = $Task.name
    $columns['Next Run Time'] = Format-Time $Task.next_run
    $columns['Status'] = $status
    if (-not $Verbose) { return $columns }

    $xml = [xml] ($Task.xml -replace '^<\?xml[^>]*\?>', '')
    $exec = $xml.SelectSingleNode("//*[local-name()='Exec']")
    $text = { param($node, $name) $found = $node.SelectSingleNode("*[local-name()='$name']"); if ($found) { $found.InnerText } else { 'N/A' } }
    $command = (& $text $exec 'Command'), (& $text $exec 'Arguments') | Where-Object { $_ -ne 'N/A' }
    $last = [int64] $Task.last_result
    if ($last -gt [int]::MaxValue) { $last -= 4294967296 }
    $columns['Logon Mode'] = 'Interactive/Background'
    $columns['Last Run Time'] = '11/30/1999 12:00:00 AM'
    if ($Task.last_run) { $columns['Last Run Time'] = Format-Time $Task.last_run }
    $columns['Last Result'] = [string] $last
    $columns['Author'] = 'N/A'
    $columns['Task To Run'] = $command -join ' '
    $columns['Start In'] = & $text $exec 'WorkingDirectory'
    $columns['Comment'] = 'N/A'
    $columns['Scheduled Task State'] = 'Disabled'
    if ($Task.enabled) { $columns['Scheduled Task State'] = 'Enabled' }
    $columns['Idle Time'] = 'Disabled'
    $columns['Power Management'] = ''
    $columns['Run As User'] = $Task.user
    foreach ($name in 'Delete Task If Not Rescheduled', 'Stop Task If Runs X Hours and X Mins') { $columns[$name] = 'Disabled' }
    $columns['Schedule'] = 'Scheduling data is not available in this format.'
    foreach ($name in 'Schedule Type', 'Start Time', 'Start Date', 'End Date', 'Days', 'Months', 'Repeat: Every',
        'Repeat: Until: Time', 'Repeat: Until: Duration', 'Repeat: Stop If Still Running') { $columns[$name] = 'N/A' }
    return $columns
}

function Write-Query {
    param($Tasks, [hashtable] $Options)
    $verbose = $Options.ContainsKey('V')
    $format = 'TABLE'
    if ($Options.ContainsKey('FO')) { $format = $Options['FO'].ToUpperInvariant() }
    if ('TABLE', 'LIST', 'CSV' -notcontains $format) { Stop-Stub "Invalid syntax. '$format' value is not allowed for '/FO' option." }
    if ($format -ne 'CSV') { Write-Line "`nFolder: \" }
    $header = -not $Options.ContainsKey('NH')
    foreach ($task in $Tasks) {
        $columns = Get-Column $task $verbose
        if ($format -eq 'LIST') {
            if (-not $verbose) { Write-Line "HostName:      $env:COMPUTERNAME" }
            $width = ($columns.Keys | Measure-Object -Property Length -Maximum).Maximum + 2
            foreach ($name in $columns.Keys) { Write-Line ("${name}:".PadRight($width) + $columns[$name]) }
            if (-not $verbose) { Write-Line 'Logon Mode:    Interactive/Background' }
            Write-Line ''
        }
        elseif ($format -eq 'CSV') {
            if ($header) { Write-Line (($columns.Keys | ForEach-Object { "`"$_`"" }) -join ',') }
            Write-Line (($columns.Values | ForEach-Object { "`"$_`"" }) -join ',')
        }
        else {
            if ($header) { Write-Line "TaskName                                 Next Run Time          Status         `n$('=' * 40) $('=' * 22) $('=' * 15)" }
            Write-Line ($columns['TaskName'].TrimStart('\').PadRight(40) + ' ' + $columns['Next Run Time'].PadRight(22) + ' ' + $columns['Status'].PadRight(15))
        }
        $header = $header -and $verbose -and $format -eq 'CSV'
    }
}

function Invoke-Schtasks {
    param([string[]] $Words)
    $operation = 'QUERY'
    $rest = @()
    if ($Words.Count) {
        $operation = $Words[0].TrimStart('/', '-').ToUpperInvariant()
        $rest = @($Words | Select-Object -Skip 1)
    }
    if (-not $Takes.ContainsKey($operation)) { Stop-Stub "Invalid argument/option - '$($Words[0])'.`nType `"SCHTASKS /?`" for usage." }
    $options = Read-Option $operation $rest
    $name = $options['TN']
    switch ($operation) {
        'CREATE' {
            if (-not $options.ContainsKey('XML')) { Stop-Stub "Invalid syntax. Mandatory option 'XML' is missing: the lab's schtasks makes tasks from XML alone." }
            if (-not [System.IO.File]::Exists($options['XML'])) { Stop-Stub 'The system cannot find the file specified.' }
            $xml = [System.IO.File]::ReadAllText($options['XML'])
            [void] (Invoke-Lab @{ do = 'task-create'; name = $name; xml = $xml; replace = $options.ContainsKey('F') })
            Write-Line "SUCCESS: The scheduled task `"$name`" has successfully been created."
        }
        'DELETE' {
            if (-not $options.ContainsKey('F')) { Stop-Stub 'The operation was cancelled: it asks for a confirmation, which nobody gives; use /F.' }
            [void] (Invoke-Lab @{ do = 'task-delete'; name = $name })
            Write-Line "SUCCESS: The scheduled task `"$name`" was successfully deleted."
        }
        'RUN' {
            [void] (Invoke-Lab @{ do = 'task-run'; name = $name })
            Write-Line "SUCCESS: Attempted to run the scheduled task `"$name`"."
        }
        'END' {
            [void] (Invoke-Lab @{ do = 'task-end'; name = $name })
            Write-Line "SUCCESS: The scheduled task `"$name`" has been terminated successfully."
        }
        'CHANGE' {
            if ($options.ContainsKey('ENABLE') -eq $options.ContainsKey('DISABLE')) { Stop-Stub 'Invalid syntax. One of /ENABLE and /DISABLE is expected.' }
            try { [void] (Invoke-Lab @{ do = 'task-enable'; name = $name; enabled = $options.ContainsKey('ENABLE') }) }
            catch [System.InvalidOperationException] { Stop-Stub "The specified task name `"$name`" does not exist in the system." }
            Write-Line "SUCCESS: The parameters of scheduled task `"$name`" have been changed."
        }
        'QUERY' {
            $question = @{ do = 'tasks' }
            if ($name) { $question['name'] = $name }
            $tasks = @(Invoke-Lab $question)
            if (-not $options.ContainsKey('XML')) { Write-Query $tasks $options }
            elseif (-not $name) { Stop-Stub "The lab's schtasks prints the XML of one task alone: name it with /TN." }
            else { Write-Line $tasks[0].xml }
        }
    }
}

try { Invoke-Schtasks (Get-Argument) }
catch [System.InvalidOperationException] { Stop-Stub $_.Exception.Message }
