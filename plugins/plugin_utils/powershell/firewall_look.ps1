# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The firewall's rules whose name begins so, and all that block, as the registry has them: what netsh prints is in the language of the host.
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)][string]$Name
)
Set-StrictMode -Version 2.0

function Get-Rule([string]$Path) {
    $key = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($Path)
    if ($null -eq $key) { return }
    try {
        foreach ($value in $key.GetValueNames()) {
            $text = [string]$key.GetValue($value)
            if ($text.Contains("|Name=$Name") -or $text.Contains('|Action=Block|')) { $text }
        }
    } finally {
        $key.Dispose()
    }
}

$Ansible.Changed = $false
$Ansible.Result = @{
    # Those of the host itself, and those that a group policy brings.
    local = @(Get-Rule 'SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules')
    policy = @(Get-Rule 'SOFTWARE\Policies\Microsoft\WindowsFirewall\FirewallRules')
}
