//! What the confinement leaves to scripts (WK-4, WK-5). What it takes from them is attacked in `tests/hostile`.

use airlock_actors::domain::RunLimits;
use serde_json::Value;

use crate::support::Worker;

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

#[tokio::test]
async fn scripts_do_what_scripts_do() {
    let worker = Worker::launch().await;
    let prelude = "import mimetypes, pwd, subprocess, tempfile, threading
C = os.O_CREAT | os.O_WRONLY
def run(*words): subprocess.run(words, check=True)
open('f', 'w').close()
os.mkdir('d')
open('d/g', 'w').close()
os.symlink('f', 'way')
F = os.open('f', os.O_RDONLY)
def moded(path, mode):
    if os.stat(path).st_mode & 0o7777 != mode: raise ValueError(oct(os.stat(path).st_mode))
def timed(path, seconds):
    if os.stat(path).st_mtime != seconds: raise ValueError(os.stat(path).st_mtime)
def unpacked():
    run('tar', '-cf', 't.tar', 'd'); os.chmod('d/g', 0o600); run('tar', '-xpf', 't.tar')";
    let allowed = attempts(
        &worker,
        prelude,
        &[
            ("write its own folder", "open('own', 'w').write('x')"),
            ("temporary file", "tempfile.NamedTemporaryFile()"),
            ("run a program of the system's", "run('/bin/sh', '-c', 'echo x >/dev/null')"),
            ("run one behind a link of the system's", "run('awk', 'BEGIN { exit 0 }')"),
            ("write by a path of its own output", "run('/bin/sh', '-c', 'echo x >/dev/stderr')"),
            ("read certificates", "__import__('ssl').create_default_context()"),
            ("who it is", "pwd.getpwnam('root')"),
            ("types of files", "mimetypes.guess_type('a.txt')"),
            ("make a pipe", "os.mkfifo('pipe')"),
            ("threads", "threading.Thread(target=print).start()"),
            ("asyncio", "__import__('asyncio').run(__import__('asyncio').sleep(0))"),
            ("tcp", "socket.socket(socket.AF_INET, socket.SOCK_STREAM)"),
            ("tcp 6", "socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP)"),
            ("udp", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.IPPROTO_UDP)"),
            ("pair", "socket.socketpair()"),
            ("numeric name", "socket.getaddrinfo('192.0.2.1', 80)"),
            ("chmod", "(os.chmod('f', 0o751), moded('f', 0o751))"),
            ("chmod through a link", "(os.chmod('way', 0o640), moded('f', 0o640))"),
            (
                "chmod below a descriptor",
                "(os.chmod('g', 0o604, dir_fd=os.open('d', os.O_RDONLY)), moded('d/g', 0o604))",
            ),
            ("chmod by its whole path", "(os.chmod(os.path.abspath('f'), 0o644), moded('f', 0o644))"),
            ("chmod by a descriptor's path", "(os.chmod('/proc/self/fd/%d' % F, 0o622), moded('f', 0o622))"),
            ("fchmod", "(os.fchmod(F, 0o600), moded('f', 0o600))"),
            ("utime", "(os.utime('f', (1, 2)), timed('f', 2))"),
            ("utime of a descriptor", "(os.utime(F, (1, 3)), timed('f', 3))"),
            ("utime of a link", "(os.utime('way', (1, 4), follow_symlinks=False), timed('f', 3))"),
            ("utime, now", "os.utime('f')"),
            ("touch", "run('touch', 'f')"),
            ("tar", "unpacked()"),
            ("copy all of it", "(run('cp', '-a', 'd', 'e'), __import__('shutil').copytree('d', 'h'))"),
            ("open", "os.open('i', C, 0o644)"),
            ("personality asked for", "call(135, 0xffffffff)"),
            ("subreaper", "call(157, 36, 1, 0, 0, 0)"),
            ("limits asked for", "__import__('resource').getrlimit(6)"),
            ("own affinity", "os.sched_setaffinity(0, os.sched_getaffinity(0))"),
            ("own child", "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"),
        ],
    )
    .await;
    for (name, outcome) in allowed {
        assert_eq!(outcome, "ok", "{name}");
    }
}

#[tokio::test]
async fn of_its_own_files_a_script_can_not_change_what_is_not_there_or_special() {
    let worker = Worker::launch().await;
    let refused = attempts(
        &worker,
        "open('f', 'w').close()",
        &[
            ("nothing", "os.chmod('none', 0o600)"),
            ("no path", "os.chmod('', 0o600)"),
            ("no descriptor", "os.fchmod(999, 0o600)"),
            ("a long path", "call(90, b'x' * 5000, 0o600)"),
            ("no address", "call(90, 1, 0o600)"),
            ("no times", "call(280, -100, b'f', 1, 0)"),
            ("below a file", "os.chmod('f/g', 0o600)"),
            ("a pipe", "os.fchmod(os.pipe()[0], 0o600)"),
        ],
    )
    .await;
    let outcomes = refused.iter().map(|(_, outcome)| outcome.as_str()).collect::<Vec<_>>();
    assert_eq!(outcomes, ["ENOENT", "ENOENT", "EBADF", "ENAMETOOLONG", "EFAULT", "EFAULT", "ENOTDIR", "EPERM"]);
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
