# What comes before every hostile script. `T` is what there is to attack:
#   bare        True outside the sandbox, where every attempt must succeed
#   container   True in a container, sandboxed or not
#   pids        processes that are not the script's: bare, a victim of the same user; sandboxed, the victim (another
#               execution of the same profile), its guard, keeper and fork server, and the Airlock server
#   victim      of these the victim: {"pid", "folder", "file"}, which has a file of its own there
#   data, key, store    Airlock's data folder, its key file and its store
#   folder      a folder that everybody may write in
#   limits      {"memory", "cpu", "processes", "files", "tmp"}: of the profile
#   tcp, open   ports on this machine: of a service that the profile does not allow, and of one that it does
#   udp, unix   a port for datagrams; paths of Unix sockets, {"stream", "datagram"}
#   port, outer     the Airlock server's port; an address of the machine that is not loopback, or None
#   own_user    True where workers have users of their own
#   left        what processes are called that are left behind
#   second      True in the second of two runs
import ctypes, errno, json, os, signal, socket, struct, sys, time

_outcomes = {}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(number, *arguments):
    """A system call by its number on x86-64; raises OSError."""
    ctypes.set_errno(0)
    arguments = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    done = _libc.syscall(ctypes.c_long(number), *arguments)
    if done == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


def attempt(name, action, bare=None, bare_in_container=None):
    """Notes what becomes of `action()`: "ok", the name of the errno, or the class of another exception.

    `bare`: why it can't be shown to work outside the sandbox. `bare_in_container`: the same, in a container alone.
    """
    reason = bare or (bare_in_container if T["container"] else None)
    if T["bare"] and reason:
        _outcomes[name] = "not shown: " + reason
        return
    try:
        action()
        _outcomes[name] = "ok"
    except OSError as error:
        _outcomes[name] = errno.errorcode.get(error.errno, type(error).__name__)
    except BaseException as error:
        _outcomes[name] = type(error).__name__


def in_child(action):
    """Runs `action` in a forked process; raises OSError of its errno if it raised one."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
        except BaseException:
            os._exit(255)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise OSError(abs(status), os.strerror(abs(status)))
