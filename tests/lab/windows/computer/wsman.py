# Copyright (c) 2026, flatnet.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WS-Management: the six requests of a remote shell, [MS-WSMV], and their answers."""

from __future__ import annotations

import base64
import re
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

from .shells import Command, PipeEnded, Shell, Shells, TimedOut

NAMESPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
}
FAULT_NAMESPACE = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
FAULT_ACTION = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
SHELL_URI = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer/"
# ERROR_WINRS_SHELL_NOT_FOUND and its neighbours of the WS-Management API.
NOT_FOUND, TIMED_OUT, NOT_SUPPORTED, PIPE_ENDED = 2150858843, 2150858793, 2150858752, 109


class Fault(Exception):
    """A refusal, as the service words it."""

    def __init__(self, text: str, code: int, subcode: str = "w:InternalError") -> None:
        super().__init__(text)
        self.text, self.code, self.subcode = text, code, subcode


def answer(shells: Shells, body: bytes) -> tuple[int, str]:
    """Do what a request asks.

    :return: the HTTP status and the envelope
    """
    try:
        envelope = ET.fromstring(body)
    except ET.ParseError as error:
        return 400, str(error)
    message_id = text(envelope, "s:Header/a:MessageID")
    action = text(envelope, "s:Header/a:Action")
    try:
        return 200, wrapped(f"{action}Response", message_id, reply(shells, action, envelope))
    except Fault as fault:
        return 500, wrapped(FAULT_ACTION, message_id, described(fault))


def reply(shells: Shells, action: str, envelope: ET.Element) -> str:
    """Do what one action asks, and say so."""
    if action == f"{TRANSFER}Create":
        variables = {each.get("Name", ""): each.text or "" for each in envelope.iterfind(".//rsp:Variable", NAMESPACES)}
        return created(shells.open(variables))
    shell_id = text(envelope, "s:Header/w:SelectorSet/w:Selector[@Name='ShellId']")
    shell = shells.find(shell_id)
    if shell is None:
        raise Fault(
            f"The request for the Windows Remote Shell with ShellId {shell_id} failed because the shell was not found on the"
            " server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the server."
            " Provide the correct ShellId or create a new shell and retry the request.",
            NOT_FOUND,
            "w:InvalidSelectors",
        )
    if action == f"{TRANSFER}Delete":
        shells.close(lambda each: each is shell)
        return ""
    operations = {"Command": run, "Send": send, "Receive": receive, "Signal": signal}
    operation = operations.get(action.removeprefix(SHELL))
    if operation is None:
        raise Fault(f"The action {action} is not supported by the service.", NOT_SUPPORTED, "a:ActionNotSupported")
    return operation(shell, envelope)


def created(shell: Shell) -> str:
    """How a new shell is addressed."""
    selectors = f'<w:SelectorSet><w:Selector Name="ShellId">{shell.id}</w:Selector></w:SelectorSet>'
    return (
        "<x:ResourceCreated><a:Address>https://localhost:5986/wsman</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{SHELL_URI}</w:ResourceURI>{selectors}</a:ReferenceParameters></x:ResourceCreated>"
        f"<rsp:Shell><rsp:ShellId>{shell.id}</rsp:ShellId></rsp:Shell>"
    )


def run(shell: Shell, envelope: ET.Element) -> str:
    """Start a command line."""
    arguments = [each.text or "" for each in envelope.iterfind(".//rsp:CommandLine/rsp:Arguments", NAMESPACES)]
    words = [text(envelope, ".//rsp:CommandLine/rsp:Command"), *arguments]
    command = shell.run(" ".join(filter(None, words)))
    return f"<rsp:CommandResponse><rsp:CommandId>{command.id}</rsp:CommandId></rsp:CommandResponse>"


def send(shell: Shell, envelope: ET.Element) -> str:
    """Hand input to a command."""
    for stream in envelope.iterfind(".//rsp:Send/rsp:Stream", NAMESPACES):
        data = base64.b64decode(stream.text or "")
        try:
            command_of(shell, stream).send(data, stream.get("End", "").lower() in ("true", "1"))
        except PipeEnded as error:
            raise Fault("The pipe has been ended.", PIPE_ENDED) from error
    return "<rsp:SendResponse/>"


def receive(shell: Shell, envelope: ET.Element) -> str:
    """Return what a command has printed, and its exit code when it has ended."""
    command = command_of(shell, envelope.find(".//rsp:Receive/rsp:DesiredStream", NAMESPACES))
    try:
        printed, code = command.receive(seconds_of(text(envelope, "s:Header/w:OperationTimeout")))
    except TimedOut as error:
        raise Fault(
            "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
            TIMED_OUT,
            "w:TimedOut",
        ) from error
    parts = [
        f'<rsp:Stream Name="{name}" CommandId="{command.id}">{base64.b64encode(data).decode()}</rsp:Stream>'
        for name, data in printed.items()
        if data
    ]
    state = "Running"
    ended = ""
    if code is not None:
        parts += [f'<rsp:Stream Name="{name}" CommandId="{command.id}" End="true"></rsp:Stream>' for name in printed]
        state, ended = "Done", f"<rsp:ExitCode>{code & 0xFFFFFFFF}</rsp:ExitCode>"
    parts.append(
        f'<rsp:CommandState CommandId="{command.id}" State="{SHELL}CommandState/{state}">{ended}</rsp:CommandState>'
    )
    return f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>"


def signal(shell: Shell, envelope: ET.Element) -> str:
    """End a command, whichever signal it is: clients send Ctrl-C and terminate alone."""
    command = command_of(shell, envelope.find(".//rsp:Signal", NAMESPACES))
    del shell.commands[command.id]
    command.end()
    return "<rsp:SignalResponse/>"


def command_of(shell: Shell, element: ET.Element | None) -> Command:
    """The command that an element is about."""
    command = shell.commands.get(element.get("CommandId", "") if element is not None else "")
    if command is None:
        raise Fault("The command was not found on the server.", NOT_FOUND, "w:InvalidSelectors")
    return command


def text(envelope: ET.Element, path: str) -> str:
    """The text of an element, or nothing."""
    return envelope.findtext(path, "", NAMESPACES)


def seconds_of(duration: str) -> float:
    """An operation's time-out; a minute where the client names none."""
    match = re.fullmatch(r"PT(?:(\d+)M)?(?:([\d.]+)S)?", duration)
    return int(match[1] or 0) * 60 + float(match[2] or 0) if match else 60.0


def wrapped(action: str, message_id: str, body: str) -> str:
    """An envelope that answers a message."""
    names = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in NAMESPACES.items())
    header = (
        f"<a:Action>{escape(action)}</a:Action><a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        f"<a:RelatesTo>{escape(message_id)}</a:RelatesTo>"
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xml:lang="en-US" {names}>'
        f"<s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )


def described(fault: Fault) -> str:
    """A fault as WinRM writes it."""
    reason = escape(fault.text)
    return (
        f"<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{fault.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{reason}</s:Text></s:Reason><s:Detail>'
        f'<f:WSManFault xmlns:f="{FAULT_NAMESPACE}" Code="{fault.code}" Machine="localhost">'
        f"<f:Message>{reason}</f:Message></f:WSManFault></s:Detail></s:Fault>"
    )
