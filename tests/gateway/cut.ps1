# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs act.ps1 and kills its process at line $At of the journal that it writes: 'before' the line is written, 'after' it is on the disk,
# or 'torn', with half of it there. With -Serve it runs as often as it is asked to, without being killed. The scheduler is a file that
# holds the gateway's command line, so that a hundred runs take minutes; act.ps1 with the lab's schtasks is tested beside this.
param([string] $Act, [string] $Site = '', [int] $At = 0, [string] $When = 'after', [string] $Serve = '')

. $Act -FunctionsOnly

$cut = @{ Lines = 0; Write = ${function:Write-Durable} }

function Write-Durable([IO.FileStream] $stream, [byte[]] $bytes) {
    $counts = [IO.Path]::GetFileName($stream.Name) -eq 'journal'
    if ($counts) { $cut.Lines++ }
    $now = $counts -and $cut.Lines -eq $At
    if ($now -and $When -eq 'before') { [Diagnostics.Process]::GetCurrentProcess().Kill() }
    if ($now -and $When -eq 'torn') {
        $stream.Write($bytes, 0, [int] ($bytes.Length / 2))
        $stream.Flush($true)
        [Diagnostics.Process]::GetCurrentProcess().Kill()
    }
    & $cut.Write $stream $bytes
    if ($now) { [Diagnostics.Process]::GetCurrentProcess().Kill() }
}

function Invoke-Schtasks([string] $arguments) {
    $task = @{ On = "$Site\task.on"; Off = "$Site\task.off" }
    if (-not ([IO.File]::Exists($task.On) -or [IO.File]::Exists($task.Off))) { return @{ Code = 1; Text = 'ERROR: The system cannot find the file specified.' } }
    $enabled = [IO.File]::Exists($task.On)
    if ($arguments -match '^/Query ') {
        return @{ Code = 0; Text = "<?xml version=`"1.0`" encoding=`"UTF-16`"?>`r`n<Task version=`"1.2`" xmlns=`"http://schemas.microsoft.com/windows/2004/02/mit/task`"><Settings><Enabled>$("$enabled".ToLowerInvariant())</Enabled></Settings></Task>" }
    }
    if ($arguments -match '/ENABLE$' -and -not $enabled) { [IO.File]::Move($task.Off, $task.On) }
    if ($arguments -match '/DISABLE$' -and $enabled) { [IO.File]::Move($task.On, $task.Off) }
    if ($arguments -match '^/Run ') {
        if (-not $enabled) { return @{ Code = 1; Text = 'ERROR: The task is disabled.' } }
        $start = New-Object Diagnostics.ProcessStartInfo
        $start.FileName, $start.Arguments = [IO.File]::ReadAllText($task.On).Split([char[]] '|')
        # Without the handles of this process, which may be killed.
        $start.UseShellExecute = $true
        $start.WindowStyle = [Diagnostics.ProcessWindowStyle]::Hidden
        $null = [Diagnostics.Process]::Start($start)
    }
    return @{ Code = 0; Text = 'SUCCESS' }
}

if (-not $Serve) { exit (Invoke-Transactions "$Site\transactions") }

$held = @{}
while (-not [IO.File]::Exists("$Serve\stop")) {
    if (-not [IO.File]::Exists("$Serve\asked")) {
        [Threading.Thread]::Sleep(15)
        continue
    }
    $what, $Site = [IO.File]::ReadAllText("$Serve\asked").Split([char[]] '|')
    [IO.File]::Delete("$Serve\asked")
    $cut.Lines = 0
    $answer = try {
        switch ($what) {
            'act' { "$(Invoke-Transactions "$Site\transactions")" }
            'start' { (Invoke-Schtasks '/Run ').Text }
            'hold' { $held[$Site] = New-Object IO.FileStream $Site, ([IO.FileMode]::Open), ([IO.FileAccess]::Read), ([IO.FileShare]::None); 'held' }
            'release' { $held[$Site].Dispose(); 'released' }
        }
    } catch {
        "error: $_ $($_.ScriptStackTrace)"
    }
    [IO.File]::WriteAllText("$Serve\answering", $answer)
    [IO.File]::Move("$Serve\answering", "$Serve\answered")
}
