"""Becomes a program for which the kernel refuses to connect to IPv6 addresses, as a security module does.

Usage: errno_on_connect.py ERRNO PROGRAM [ARGUMENT...]

A seccomp filter sees the numbers of a system call and not what they point to; the length of the address,
28 bytes for IPv6, tells the family.
"""

import ctypes
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
CONNECT = {"x86_64": 42, "aarch64": 203}
SIZEOF_SOCKADDR_IN6 = 28
NUMBER_OFFSET, THIRD_ARGUMENT_OFFSET = 0, 16 + 2 * 8


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def refuse_ipv6(errno):
    steps = [
        (LOAD, 0, 0, NUMBER_OFFSET),
        (JUMP_IF_EQUAL, 0, 3, CONNECT[platform.machine()]),
        (LOAD, 0, 0, THIRD_ARGUMENT_OFFSET),
        (JUMP_IF_EQUAL, 0, 1, SIZEOF_SOCKADDR_IN6),
        (RETURN, 0, 0, ERRNO | errno),
        (RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = Program(len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


refuse_ipv6(int(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
