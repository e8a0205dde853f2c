# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs act.ps1 and kills its process at line $At of the journal that it writes: 'before' the line is written, 'after' it is on the disk,
# or 'torn', with half of it there. 0 lets it run. The scheduler is a file that holds the gateway's command line, so that a hundred
# runs take minutes; act.ps1 with the lab's schtasks is tested beside this.
param([string] $Act, [string] $Scheduler, [int] $At = 0, [string] $When = 'after')

. $Act

$cut = @{ Lines = 0 }

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
    $stream.Write($bytes, 0, $bytes.Length)
    $stream.Flush($true)
    if ($now) { [Diagnostics.Process]::GetCurrentProcess().Kill() }
}

function Invoke-Schtasks([string] $arguments) {
    $task = @{ On = "$Scheduler.on"; Off = "$Scheduler.off" }
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

exit (Invoke-Transactions (Split-Path $Act))
