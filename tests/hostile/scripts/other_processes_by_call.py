# Tries: to read and steer other processes by system calls: ptrace, process_vm_*, kcmp, pidfd_getfd, process_madvise.
# Expect: refused EPERM ENOSYS
import mmap
DOCKER = "Docker's own profile refuses it"
buffer = ctypes.create_string_buffer(16)
for pid in T["pids"]:
    remote = None
    if T["bare"]:
        for line in open("/proc/%d/maps" % pid):
            if "[heap]" in line:
                remote = int(line.split("-")[0], 16)
    local_io = struct.pack("QQ", ctypes.addressof(buffer), 16)
    remote_io = struct.pack("QQ", remote or 4096, 16)
    attempt("read memory of %d" % pid, lambda: call(310, pid, local_io, 1, remote_io, 1, 0), bare_in_container=DOCKER)
    attempt("write memory of %d" % pid, lambda: call(311, pid, local_io, 1, remote_io, 1, 0), bare_in_container=DOCKER)
    attempt("compare with %d" % pid, lambda: call(312, pid, pid, 0, 0, 0), bare_in_container=DOCKER)
    attempt("take a descriptor of %d" % pid, lambda: call(438, os.pidfd_open(pid), 1, 0), bare_in_container=DOCKER)
    # Last: it stays attached, and is let go when this process ends.
    attempt("seize %d" % pid, lambda: call(101, 0x4206, pid, 0, 0), bare_in_container="Docker 20.10 may refuse it")
