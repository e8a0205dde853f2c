/*
 * Copyright (c) 2026, flatnet.ops contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Runs a program with a hidden console, which PowerShell needs, and with this process's own standard handles.
 *   spawn.exe PROGRAM ARGUMENTS...    runs that program
 *   powershell.exe ARGUMENTS...       (a copy of this name, also pwsh.exe) runs %FLATNET_POWERSHELL% ARGUMENTS...
 *   NAME.exe ARGUMENTS...             (any other name) runs %FLATNET_POWERSHELL% -File C:\winlab\stubs\NAME.ps1 ARGUMENTS...
 * The exit code is the program's. To end this process is to end the program, but not what the program has started.
 */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>

#define LONGEST 32767

/* The command line after its first argument, as it was written. */
static wchar_t *rest(wchar_t *line) {
    int quoted = 0;
    while (*line && (quoted || (*line != L' ' && *line != L'\t'))) {
        if (*line == L'"') quoted = !quoted;
        line++;
    }
    while (*line == L' ' || *line == L'\t') line++;
    return line;
}

/* A job that ends the program when this process, which alone holds it, ends in whatever way. */
static HANDLE job_of_its_own(void) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    HANDLE job = CreateJobObjectW(NULL, NULL);
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    return job;
}

static HANDLE inherited(DWORD which) {
    HANDLE handle = GetStdHandle(which);
    SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    return handle;
}

int wmain(void) {
    static wchar_t command[LONGEST + 1];
    wchar_t self[MAX_PATH], powershell[MAX_PATH], *name, *dot;
    const wchar_t *arguments = rest(GetCommandLineW());
    STARTUPINFOW start = {.cb = sizeof start};
    PROCESS_INFORMATION process;
    HANDLE job;
    DWORD code = 1;
    int length;

    GetModuleFileNameW(NULL, self, MAX_PATH);
    name = wcsrchr(self, L'\\') + 1;
    if ((dot = wcsrchr(name, L'.'))) *dot = 0;
    if (_wcsicmp(name, L"spawn") == 0) {
        length = _snwprintf(command, LONGEST, L"%ls", arguments);
    } else {
        if (!GetEnvironmentVariableW(L"FLATNET_POWERSHELL", powershell, MAX_PATH)) {
            fprintf(stderr, "%ls: the environment variable FLATNET_POWERSHELL was expected, with the path of powershell.exe\n", name);
            return 9009;
        }
        if (_wcsicmp(name, L"powershell") == 0 || _wcsicmp(name, L"pwsh") == 0)
            length = _snwprintf(command, LONGEST, L"\"%ls\" %ls", powershell, arguments);
        else
            length = _snwprintf(command, LONGEST, L"\"%ls\" -NoProfile -NonInteractive -ExecutionPolicy Bypass -File C:\\winlab\\stubs\\%ls.ps1 %ls",
                                powershell, name, arguments);
    }
    if (length < 0) {
        fprintf(stderr, "%ls: the command line is longer than %d characters\n", name, LONGEST);
        return 206;
    }
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdInput = inherited(STD_INPUT_HANDLE);
    start.hStdOutput = inherited(STD_OUTPUT_HANDLE);
    start.hStdError = inherited(STD_ERROR_HANDLE);
    if (!CreateProcessW(NULL, command, NULL, NULL, TRUE, CREATE_NO_WINDOW | CREATE_SUSPENDED, NULL, NULL, &start, &process)) {
        fprintf(stderr, "%ls: cannot run %ls: error %lu\n", name, command, GetLastError());
        return 127;
    }
    job = job_of_its_own();
    AssignProcessToJobObject(job, process.hProcess);
    ResumeThread(process.hThread);
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &code);
    return (int)code;
}
