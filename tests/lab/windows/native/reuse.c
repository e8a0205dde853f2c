/*
 * Copyright (c) 2026, flatnet.ops contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Preloaded into wineserver: a second listener on a port, which Windows allows with SO_REUSEADDR and Linux with SO_REUSEPORT.
 * Wine itself refuses what Windows refuses (errors 10013 and 10048), so Linux can allow all that asked for SO_REUSEADDR.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

typedef int (*setsockopt_function)(int, int, int, const void *, socklen_t);

int setsockopt(int socket, int level, int option, const void *value, socklen_t length) {
    static setsockopt_function real;
    int result;

    if (!real) real = (setsockopt_function)dlsym(RTLD_NEXT, "setsockopt");
    result = real(socket, level, option, value, length);
    if (level == SOL_SOCKET && option == SO_REUSEADDR) real(socket, level, SO_REUSEPORT, value, length);
    return result;
}
