//! What a script can't do (WK-4, WK-5). Each attempt would succeed without the layer it is about.

use std::os::unix::fs::PermissionsExt as _;

use airlock_actors::domain::RunLimits;
use serde_json::Value;

use crate::support::{Worker, children, config, guard_and_keeper};

/// Runs attempts, and returns what became of each: `ok`, or the name of the error.
async fn attempts(worker: &Worker, prelude: &str, attempts: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut script = format!(
        "import ctypes, errno, json, os, signal, socket, struct, sys\n{prelude}
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    if libc.syscall(number, *(ctypes.c_long(a) if isinstance(a, int) else a for a in args)) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
outcomes = []
def attempt(name, action):
    try:
        action()
        outcomes.append([name, 'ok'])
    except OSError as error:
        outcomes.append([name, errno.errorcode.get(error.errno, str(error))])
    except BaseException as error:
        outcomes.append([name, type(error).__name__])
"
    );
    for (name, action) in attempts {
        script += &format!("attempt({name:?}, lambda: {action})\n");
    }
    script += "set_result(outcomes)";
    let Value::Array(outcomes) = worker.run(&script).await.value() else { panic!("no list") };
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    outcomes.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn assert_all(outcomes: &[(String, String)], allowed: &[&str]) {
    for (name, outcome) in outcomes {
        assert!(allowed.contains(&outcome.as_str()), "{name}: {outcome}, not one of {allowed:?}");
    }
}

#[tokio::test]
async fn files_outside_are_neither_read_nor_written() {
    let (config, home) = config();
    let data = home.path().join("data");
    std::fs::create_dir(&data).expect("made");
    let secret = data.join("airlock.redb");
    std::fs::write(&secret, "secret").expect("written");
    for path in [&data, &secret] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("changed");
    }
    let worker = Worker::launch_with(config, home).await;
    let (folder, secret) = (data.display(), secret.display());
    let reads = format!("secret = {:?}; folder = {:?}", secret.to_string(), folder.to_string());
    let outcomes = attempts(
        &worker,
        &reads,
        &[
            ("read the data folder's file", "open(secret).read()"),
            ("list the data folder", "os.listdir(folder)"),
            ("write the data folder's file", "open(secret, 'a')"),
            ("truncate it", "os.truncate(secret, 0)"),
            ("remove it", "os.unlink(secret)"),
            ("rename it", "os.rename(secret, secret + '2')"),
            ("link it", "os.link(secret, 'mine')"),
            ("make a file beside it", "open(folder + '/new', 'w')"),
            ("read shadow", "open('/etc/shadow')"),
            ("read the host name", "open('/etc/hostname')"),
            ("list the root", "os.listdir('/')"),
            ("list tmp", "os.listdir('/tmp')"),
            ("list the worker's folder", "os.listdir(os.path.dirname(os.getcwd()))"),
            ("write shared memory", "open('/dev/shm/airlock-test', 'w')"),
            ("write in tmp", "open('/tmp/airlock-test', 'w')"),
            ("list processes", "os.listdir('/proc')"),
            ("read its own memory map", "open('/proc/self/maps')"),
            (
                "run its own program",
                "(open('p', 'w').write('#!/bin/sh\\n'), os.chmod('p', 0o755), os.execv('p', ['p']))",
            ),
        ],
    )
    .await;
    assert_all(&outcomes, &["EACCES", "EXDEV", "EPERM"]);
    assert_eq!(outcomes.len(), 18);
    let allowed = attempts(
        &worker,
        "import subprocess, mimetypes, pwd, tempfile",
        &[
            ("write its own folder", "open('own', 'w').write('x')"),
            ("temporary file", "tempfile.NamedTemporaryFile()"),
            ("run a program of the system's", "subprocess.run(['/bin/sh', '-c', 'echo x >/dev/null'], check=True)"),
            ("read certificates", "__import__('ssl').create_default_context()"),
            ("who it is", "open('/etc/passwd')"),
            ("types of files", "mimetypes.guess_type('a.txt')"),
            ("make a pipe", "os.mkfifo('pipe')"),
            ("threads", "__import__('threading').Thread(target=print).start()"),
            ("asyncio", "__import__('asyncio').run(__import__('asyncio').sleep(0))"),
        ],
    )
    .await;
    assert_all(&allowed, &["ok"]);
}

#[tokio::test]
async fn siblings_guard_and_fork_server_are_out_of_reach() {
    let worker = Worker::launch().await;
    let mut sibling = worker.start(
        "import os\nopen('mine', 'w').write('secret')\nprint(os.getpid(), os.getcwd())\nimport signal\nsignal.pause()",
    );
    sibling.until_printed("\n").await;
    let line = String::from_utf8(sibling.stdout.clone()).expect("UTF-8");
    let (pid, folder) = line.trim().split_once(' ').expect("two words");
    let (guard, keeper) = guard_and_keeper(&worker.base);
    let processes = [guard, keeper, children(guard)[0]];
    for target in processes.iter().map(ToString::to_string).chain([pid.to_owned(), std::process::id().to_string()]) {
        let prelude = format!("pid = {target}; folder = {folder:?}");
        let outcomes = attempts(
            &worker,
            &prelude,
            &[
                ("signal", "os.kill(pid, 0)"),
                ("kill", "os.kill(pid, signal.SIGKILL)"),
                ("signal its group", "os.killpg(pid, 0)"),
                ("signal by descriptor", "signal.pidfd_send_signal(os.pidfd_open(pid), 9)"),
                ("memory", "open('/proc/%d/mem' % pid, 'rb')"),
                ("environment", "open('/proc/%d/environ' % pid, 'rb')"),
                ("arguments", "open('/proc/%d/cmdline' % pid, 'rb')"),
                ("descriptors", "os.listdir('/proc/%d/fd' % pid)"),
                ("a descriptor", "open('/proc/%d/fd/0' % pid)"),
                ("its folder", "open('/proc/%d/cwd/mine' % pid)"),
                ("ptrace", "call(101, 16, pid, 0, 0)"),
                ("read memory", "call(310, pid, 0, 0, 0, 0, 0)"),
                ("write memory", "call(311, pid, 0, 0, 0, 0, 0)"),
                ("compare", "call(312, pid, pid, 0, 0, 0)"),
                ("take a descriptor", "call(438, os.pidfd_open(pid), 0, 0)"),
                ("limits", "__import__('resource').prlimit(pid, 7, (10, 10))"),
                ("affinity", "os.sched_setaffinity(pid, {0})"),
                ("scheduler", "os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))"),
                ("priority", "os.setpriority(os.PRIO_PROCESS, pid, 19)"),
                ("priority of the user", "os.setpriority(os.PRIO_USER, 0, 19)"),
                ("everybody", "os.kill(-1, 0)"),
                ("sibling's file", "open(folder + '/mine')"),
                ("sibling's folder", "os.listdir(folder)"),
                ("write there", "open(folder + '/planted', 'w')"),
            ],
        )
        .await;
        // ESRCH: a process that is not a group's leader has no group to signal.
        assert_all(&outcomes, &["EPERM", "EACCES", "ESRCH"]);
    }
    worker.link().kill(sibling.token);
    assert_eq!(sibling.end().await.outcome(), "killed");
}

#[tokio::test]
async fn sockets_are_for_the_internet_alone() {
    let worker = Worker::launch().await;
    let refused = attempts(
        &worker,
        "S = socket.socket",
        &[
            ("unix stream", "S(socket.AF_UNIX, socket.SOCK_STREAM)"),
            ("unix datagram", "S(socket.AF_UNIX, socket.SOCK_DGRAM)"),
            ("netlink", "S(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
            ("netlink datagram", "S(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)"),
            ("packet", "S(socket.AF_PACKET, socket.SOCK_RAW, 3)"),
            ("vsock", "S(socket.AF_VSOCK, socket.SOCK_STREAM)"),
            ("bluetooth", "S(31, socket.SOCK_RAW, 1)"),
            ("kernel crypto", "S(38, socket.SOCK_SEQPACKET)"),
            ("raw", "S(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)"),
            ("raw with flags", "S(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 255)"),
            ("ping", "S(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)"),
            ("sctp", "S(socket.AF_INET, socket.SOCK_SEQPACKET, 132)"),
            ("mptcp", "S(socket.AF_INET, socket.SOCK_STREAM, 262)"),
            ("pair", "socket.socketpair(socket.AF_INET, socket.SOCK_STREAM)"),
        ],
    )
    .await;
    assert_all(&refused, &["EPERM"]);
    let allowed = attempts(
        &worker,
        "S = socket.socket",
        &[
            ("tcp", "S(socket.AF_INET, socket.SOCK_STREAM)"),
            ("tcp 6", "S(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP)"),
            ("udp", "S(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.IPPROTO_UDP)"),
            ("pair", "socket.socketpair()"),
            ("numeric name", "socket.getaddrinfo('192.0.2.1', 80)"),
        ],
    )
    .await;
    assert_all(&allowed, &["ok"]);
}

#[tokio::test]
async fn special_modes_and_dangerous_calls_are_refused() {
    let worker = Worker::launch().await;
    let prelude = "open('f', 'w').close()\nF = os.open('f', os.O_RDONLY)\nC = os.O_CREAT | os.O_WRONLY";
    let refused = attempts(
        &worker,
        prelude,
        &[
            ("chmod u+s", "os.chmod('f', 0o4755)"),
            ("chmod g+s", "os.chmod('f', 0o2755)"),
            ("fchmod", "os.fchmod(F, 0o4755)"),
            ("fchmodat", "os.chmod('f', 0o4755, dir_fd=os.open('.', os.O_RDONLY))"),
            ("open", "os.open('g', C, 0o4755)"),
            ("unnamed", "os.open('.', os.O_TMPFILE | os.O_WRONLY, 0o4755)"),
            ("creat", "call(85, b'h', 0o6755)"),
            ("device", "os.mknod('dev', 0o020600, os.makedev(1, 1))"),
            ("fchmodat2", "call(452, -100, b'f', 0o4755, 0)"),
            ("unshare", "call(272, 0x10000000)"),
            ("clone into a user namespace", "call(56, 0x10000000 | 17, 0, 0, 0, 0)"),
            ("clone as a sibling", "call(56, 0x8000 | 17, 0, 0, 0, 0)"),
            ("setns", "call(308, 0, 0)"),
            ("mount", "call(165, b'a', b'b', b'c', 0, 0)"),
            ("bpf", "call(321, 0, 0, 0)"),
            ("perf", "call(298, 0, 0, 0, 0, 0)"),
            ("userfaultfd", "call(323, 1)"),
            ("keyctl", "call(250, 0, -3, 0, 0, 0)"),
            ("add_key", "call(248, b'user', b'k', b'v', 1, -3)"),
            ("shmget", "call(29, 0, 4096, 0o1600)"),
            ("msgget", "call(68, 0, 0o1600)"),
            ("mq_open", "call(240, b'q', 0o102, 0o600, 0)"),
            ("memfd_secret", "call(447, 0)"),
            ("name_to_handle_at", "call(303, -100, b'f', 0, 0, 0)"),
            ("personality", "call(135, 0x0040000)"),
            ("may be traced", "libc.prctl(0x59616d61, -1, 0, 0, 0) == 0 or call(157, 0x59616d61, -1, 0, 0, 0)"),
            ("no subreaper", "call(157, 36, 0, 0, 0, 0)"),
            ("more processes", "call(302, 0, 6, struct.pack('QQ', 1000, 1000), 0)"),
            ("more processes, the old way", "call(160, 6, struct.pack('QQ', 1000, 1000))"),
            ("type into a terminal", "call(16, 0, 0x5412, b'x')"),
            ("settimeofday", "call(164, 0, 0)"),
            ("reboot", "call(169, 0, 0, 0, 0)"),
        ],
    )
    .await;
    assert_all(&refused, &["EPERM"]);
    let absent = attempts(
        &worker,
        "",
        &[("io_uring", "call(425, 1, 0)"), ("clone3", "call(435, 0, 0)"), ("openat2", "call(437, -100, b'f', 0, 0)")],
    )
    .await;
    assert_all(&absent, &["ENOSYS"]);
    let allowed = attempts(
        &worker,
        prelude,
        &[
            ("chmod", "os.chmod('f', 0o755)"),
            ("open", "os.open('i', C, 0o644)"),
            ("personality asked for", "call(135, 0xffffffff)"),
            ("subreaper", "call(157, 36, 1, 0, 0, 0)"),
            ("limits asked for", "__import__('resource').getrlimit(6)"),
            ("own affinity", "os.sched_setaffinity(0, os.sched_getaffinity(0))"),
            ("own child", "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"),
        ],
    )
    .await;
    assert_all(&allowed, &["ok"]);
}

#[tokio::test]
async fn nothing_is_inherited_that_was_not_meant() {
    let worker = Worker::launch().await;
    let script = "import os, json
fds = []
for fd in range(0, 1024):
    try: fds.append([fd, os.fstat(fd).st_mode & 0o170000])
    except OSError: pass
status = None
set_result([fds, sorted(os.environ), os.getuid() == os.geteuid(), os.getgroups()])";
    let value = worker.run(script).await.value();
    let numbers =
        value[0].as_array().expect("a list").iter().map(|fd| fd[0].as_u64().expect("a number")).collect::<Vec<_>>();
    assert_eq!(numbers, [0, 1, 2, 3]);
    let names = value[1].as_array().expect("a list");
    assert!(names.iter().all(|name| name.as_str() != Some("CARGO_PKG_NAME")), "{names:?}");
    assert!(names.len() <= 12, "{names:?}");
    assert_eq!(value[3], serde_json::json!([]));
}

#[tokio::test]
async fn settings_are_in_no_environment_argument_or_file() {
    let worker = Worker::launch().await;
    // Put together here, so that the test's own memory is not what is found.
    let canary = ["canary", "7f3a", "b1"].join("-");
    let mut run = worker.start_with(
        "print(len(settings['KEY']))\nimport signal\nsignal.pause()",
        &[("KEY", &canary)],
        RunLimits::DEFAULT,
    );
    run.until_printed("\n").await;
    let mut looked_at = 0;
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        if entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            for file in ["environ", "cmdline"] {
                let content = std::fs::read(entry.path().join(file)).unwrap_or_default();
                looked_at += usize::from(!content.is_empty());
                let found = content.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!found, "{} has it", entry.path().join(file).display());
            }
        }
    }
    assert!(looked_at > 5);
    let mut folders = vec![worker.base.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let content = std::fs::read(entry.path()).unwrap_or_default();
                assert!(!content.windows(canary.len()).any(|window| window == canary.as_bytes()));
            }
        }
    }
    worker.link().kill(run.token);
    run.end().await;
}
