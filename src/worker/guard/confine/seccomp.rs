//! seccomp: compiles the list of [`super::rules`] and installs it (seccomp(2)). The kernel runs every filter; of their answers
//! a refusal outranks asking the guard, and that outranks leave to go on.
//!
//! What matches no rule is allowed: scripts use a wide part of the kernel through libraries that nobody here knows, and an
//! allow list would break them one by one. What the list denies, nobody running a script needs.

use std::collections::BTreeMap;
use std::os::fd::{FromRawFd as _, OwnedFd};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, sock_filter,
};

use super::layers::{EGRESS, Layer, SECCOMP};
use super::rules::{Answer, Argument, Rule, Test, all};

/// The action that stands for "ask the guard" until the program is compiled: seccompiler has none for it.
const PLACEHOLDER: u16 = 0x6172;

/// Installs the filter that asks the guard. Its listener is for the guard alone; where there can be none, the calls are
/// refused, and so there is no network.
pub(super) fn install_asking() -> (Layer, Option<OwnedFd>) {
    let rules = all();
    match compile(&rules, Answer::AskGuard).and_then(|filter| listen(&filter)) {
        Ok(listener) => (Layer::active(EGRESS, ""), Some(listener)),
        Err(error) => {
            let refused =
                compile_with(&rules, &[Answer::AskGuard], errno(libc::EPERM)).and_then(|filter| apply(&filter));
            let network = match refused {
                Ok(()) => "scripts have no network".to_owned(),
                Err(error) => format!("and the network can't be closed: {error}"),
            };
            (Layer::missing(EGRESS, format!("{error}; {network}")), None)
        }
    }
}

/// Installs the filters that refuse in the calling process, and so in all that it starts. The last of all: one of the calls
/// that they refuse installs filters.
pub(super) fn install_refusing() -> Layer {
    let rules = all();
    let denied = rules.iter().filter(|rule| rule.answer == Answer::NotPermitted).count();
    for answer in [Answer::Done, Answer::NotThere, Answer::NotSupported, Answer::NotPermitted] {
        if let Err(error) = compile(&rules, answer).and_then(|filter| apply(&filter)) {
            return Layer::missing(SECCOMP, error);
        }
    }
    Layer::active(SECCOMP, format!("{denied} denied"))
}

/// Whether the kernel knows an action of filters.
pub(super) fn has(action: u32) -> Result<(), nix::errno::Errno> {
    // SAFETY: the number outlives the call, which only reads it.
    let known = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    nix::errno::Errno::result(known).map(drop)
}

fn apply(filter: &BpfProgram) -> Result<(), String> {
    apply_filter(filter).map_err(|error| error.to_string())
}

fn errno(errno: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(errno.cast_unsigned())
}

fn listen(filter: &[sock_filter]) -> Result<OwnedFd, String> {
    let length = u16::try_from(filter.len()).map_err(|error| error.to_string())?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut().cast() };
    let install = |flags: libc::c_ulong| {
        let flags = flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        // SAFETY: `program` and what it points to outlive the call, and the kernel only reads them; `sock_filter` of
        // seccompiler has the layout of the kernel's.
        let descriptor =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        nix::errno::Errno::result(descriptor)
    };
    // So that no signal takes a call back that the guard is already at. 5.19 and later.
    let descriptor = install(libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV).or_else(|_| install(0));
    let descriptor = descriptor.map_err(|error| error.to_string())?;
    let descriptor = i32::try_from(descriptor).map_err(|error| error.to_string())?;
    // SAFETY: the kernel has just made it, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The program that gives `answer` to what matches one of its rules.
fn compile(rules: &[Rule], answer: Answer) -> Result<BpfProgram, String> {
    let action = match answer {
        Answer::NotPermitted => errno(libc::EPERM),
        Answer::NotThere => errno(libc::ENOSYS),
        Answer::NotSupported => errno(libc::EOPNOTSUPP),
        Answer::Done => errno(0),
        Answer::AskGuard | Answer::AskGuardToStart => SeccompAction::Trace(PLACEHOLDER.into()),
    };
    let asking = answer == Answer::AskGuard;
    // One filter has the listener, so what the guard counts is asked for by the same.
    let answers = if asking { &[Answer::AskGuard, Answer::AskGuardToStart][..] } else { &[answer][..] };
    let mut program = compile_with(rules, answers, action)?;
    if asking {
        ask_instead(&mut program)?;
    }
    Ok(program)
}

fn compile_with(rules: &[Rule], answers: &[Answer], action: SeccompAction) -> Result<BpfProgram, String> {
    let mut by_call = BTreeMap::<i64, Vec<SeccompRule>>::new();
    for rule in rules.iter().filter(|rule| answers.contains(&rule.answer)) {
        let entry = by_call.entry(rule.call).or_default();
        if !rule.when.is_empty() {
            let conditions = rule.when.iter().map(condition).collect::<Result<Vec<_>, _>>();
            let conditions = conditions.map_err(|error| error.to_string())?;
            entry.push(SeccompRule::new(conditions).map_err(|error| error.to_string())?);
        }
    }
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(by_call, SeccompAction::Allow, action, architecture);
    // A call made by another architecture's numbers kills the process: seccompiler puts that check first.
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|error| error.to_string())?;
    Ok(refuse_x32(program))
}

/// Puts the kernel's action in the place of the one that stood for it.
fn ask_instead(program: &mut BpfProgram) -> Result<(), String> {
    const RETURN: u16 = 0x06;
    let stands_for = libc::SECCOMP_RET_TRACE | u32::from(PLACEHOLDER);
    let mut found = false;
    for instruction in program.iter_mut().filter(|one| one.code == RETURN && one.k == stands_for) {
        instruction.k = libc::SECCOMP_RET_USER_NOTIF;
        found = true;
    }
    if found { Ok(()) } else { Err("the compiled filter asks nobody".to_owned()) }
}

/// x32 calls come with the same architecture as x86-64 ones and numbers from 2^30 on, which no rule would match.
fn refuse_x32(program: BpfProgram) -> BpfProgram {
    const LOAD_CALL: sock_filter = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    const SKIP_UNLESS_X32: sock_filter = sock_filter { code: 0x35, jt: 0, jf: 1, k: 0x4000_0000 };
    const KILL_PROCESS: sock_filter = sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x8000_0000 };
    let mut guarded = vec![LOAD_CALL, SKIP_UNLESS_X32, KILL_PROCESS];
    guarded.extend(program);
    guarded
}

fn condition(test: &Test) -> Result<SeccompCondition, seccompiler::BackendError> {
    let (Argument(index), operator, value) = match *test {
        Test::Is(argument, value) => (argument, SeccompCmpOp::Eq, value),
        Test::IsNot(argument, value) => (argument, SeccompCmpOp::Ne, value),
        Test::Masked { argument, mask, value } => (argument, SeccompCmpOp::MaskedEq(mask), value),
        Test::PointerIsNotNull(argument) => {
            return SeccompCondition::new(argument.0, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0);
        }
    };
    // The kernel looks at the lower half of what is declared as int: so does the rule.
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_compile_and_check_for_x32_first() {
        for answer in [Answer::Done, Answer::NotThere, Answer::NotSupported, Answer::NotPermitted, Answer::AskGuard] {
            let program = compile(&all(), answer).expect("compiles");
            assert!(program.len() < 4096, "the kernel takes at most 4096 instructions");
            assert_eq!(program.get(1).map(|check| check.k), Some(0x4000_0000));
        }
    }

    #[test]
    fn no_call_is_both_denied_whole_and_in_part() {
        let rules = all();
        for rule in rules.iter().filter(|rule| rule.when.is_empty()) {
            let same = rules.iter().filter(|other| other.call == rule.call && other.answer == rule.answer).count();
            assert_eq!(same, 1, "{} has rules that can't matter", rule.call);
        }
    }
}
