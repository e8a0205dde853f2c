# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What the stubs share: how they print, how they end, and how they ask the lab's computer.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Utf8 = New-Object System.Text.UTF8Encoding $false

function Get-Argument {
    # The arguments as they were given: PowerShell itself takes those with a hyphen for names of parameters.
    $words = [Environment]::GetCommandLineArgs()
    $file = 0
    while ($words[$file] -ne '-File') { $file++ }
    return , @($words | Select-Object -Skip ($file + 2))
}

function Write-Bytes {
    param([System.IO.Stream] $Stream, [byte[]] $Bytes)
    $Stream.Write($Bytes, 0, $Bytes.Length)
    $Stream.Flush()
}

function Write-Line {
    param([string] $Text)
    Write-Bytes ([Console]::OpenStandardOutput()) $Utf8.GetBytes(($Text -replace '\r?\n', "`r`n") + "`r`n")
}

function Write-ErrorLine {
    param([string] $Text)
    Write-Bytes ([Console]::OpenStandardError()) $Utf8.GetBytes(($Text -replace '\r?\n', "`r`n") + "`r`n")
}

function Invoke-Lab {
    # One JSON object there and one back, over loopback; a refusal is thrown in the lab's words.
    param([hashtable] $Question)
    $client = New-Object System.Net.Sockets.TcpClient
    try {
        $client.Connect('127.0.0.1', 19100)
        $stream = $client.GetStream()
        Write-Bytes $stream $Utf8.GetBytes((ConvertTo-Json -InputObject $Question -Compress -Depth 5) + "`n")
        $reader = New-Object System.IO.StreamReader $stream, $Utf8
        $said = ConvertFrom-Json -InputObject $reader.ReadToEnd()
    }
    finally {
        $client.Close()
    }
    if ($said.PSObject.Properties['refusal']) { throw (New-Object System.InvalidOperationException $said.refusal) }
    return $said.answer
}
