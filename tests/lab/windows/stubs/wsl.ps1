# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Stands for wsl.exe of the Store's WSL 2: its distributions are hosts of the lab, which the lab's computer reaches.
# Seen in the sources of WSL or in public reports: output of its own is UTF-16LE without a byte order mark unless WSL_UTF8=1, and a
# command's output is passed on as it is; "There is no distribution with the supplied name." with its error code, exit code -1; LocalSystem
# is refused.
# Assumed: the wording of the other refusals; HCS_E_CONNECTION_TIMEOUT of a distribution that does not answer; the spacing of -l -v.
# Not here: standard input, installing, importing, exporting; options other than -l, -d, -u, -e, --status and a command.
. "$PSScriptRoot\lab.ps1"

function Write-Own {
    # What wsl.exe says itself, to standard output whatever it is.
    param([string] $Text)
    $encoding = [System.Text.Encoding]::Unicode
    if ($env:WSL_UTF8 -eq '1') { $encoding = $Utf8 }
    Write-Bytes ([Console]::OpenStandardOutput()) $encoding.GetBytes(($Text -replace '\r?\n', "`r`n") + "`r`n")
}

function Stop-Own {
    param([string] $Text)
    Write-Own $Text
    exit -1
}

function Write-Table {
    param($Distributions)
    $width = (@($Distributions | ForEach-Object { $_.name.Length }) + 4 | Measure-Object -Maximum).Maximum
    Write-Own ('  {0} {1} {2}' -f 'NAME'.PadRight($width), 'STATE'.PadRight(15), 'VERSION')
    $mark = '*'
    foreach ($distribution in $Distributions) {
        $state = 'Stopped'
        if ($distribution.running) { $state = 'Running' }
        Write-Own ('{0} {1} {2} {3}' -f $mark, $distribution.name.PadRight($width), $state.PadRight(15), '2')
        $mark = ' '
    }
}

function Invoke-Wsl {
    param([string[]] $Words)
    if ($env:USERNAME -eq 'SYSTEM') {
        Stop-Own "Running WSL as local system is not supported.`nError code: Wsl/WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED"
    }
    $distributions = @(Invoke-Lab @{ do = 'wsl-list' } | Where-Object { $_ })
    $name = $null
    $user = 'root'
    $i = 0
    while ($i -lt $Words.Count -and $Words[$i] -match '^-') {
        $word = $Words[$i]
        $i++
        if ('-d', '--distribution' -ccontains $word) { $name = $Words[$i]; $i++ }
        elseif ('-u', '--user' -ccontains $word) { $user = $Words[$i]; $i++ }
        elseif ('-e', '--exec', '--' -ccontains $word) { break }
        elseif ('-l', '--list' -ccontains $word) {
            $rest = @($Words | Select-Object -Skip $i)
            if (-not $distributions.Count) { Stop-Own "Windows Subsystem for Linux has no installed distributions.`nError code: Wsl/WSL_E_DEFAULT_DISTRO_NOT_FOUND" }
            if ($rest -ccontains '-v' -or $rest -ccontains '--verbose') { Write-Table $distributions }
            elseif ($rest -ccontains '-q' -or $rest -ccontains '--quiet') { foreach ($each in $distributions) { Write-Own $each.name } }
            else {
                Write-Own 'Windows Subsystem for Linux Distributions:'
                $note = ' (Default)'
                foreach ($each in $distributions) { Write-Own ($each.name + $note); $note = '' }
            }
            exit 0
        }
        elseif ('--status' -ceq $word) { Write-Own "Default Distribution: $($distributions[0].name)`nDefault Version: 2"; exit 0 }
        else { Stop-Own "Invalid command line argument: $word`nPlease use 'wsl.exe --help' to get a list of supported arguments.`nError code: Wsl/E_INVALIDARG" }
    }
    if (-not $distributions.Count) { Stop-Own "Windows Subsystem for Linux has no installed distributions.`nError code: Wsl/WSL_E_DEFAULT_DISTRO_NOT_FOUND" }
    if (-not $name) { $name = $distributions[0].name }
    $chosen = @($distributions | Where-Object { $_.name -eq $name })
    if (-not $chosen.Count) {
        Stop-Own "There is no distribution with the supplied name.`nError code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND"
    }
    if (-not $chosen[0].running) {
        Stop-Own "The operation timed out because a response was not received from the virtual machine or container.`nError code: Wsl/Service/CreateInstance/CreateVm/HCS/HCS_E_CONNECTION_TIMEOUT"
    }
    $argv = @($Words | Select-Object -Skip $i)
    $question = @{ do = 'wsl-run'; distribution = $chosen[0].name; user = $user; argv = $argv }
    $done = Invoke-Lab $question
    Write-Bytes ([Console]::OpenStandardOutput()) ([Convert]::FromBase64String($done.stdout))
    Write-Bytes ([Console]::OpenStandardError()) ([Convert]::FromBase64String($done.stderr))
    exit $done.code
}

Invoke-Wsl (Get-Argument)
