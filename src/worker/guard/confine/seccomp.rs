//! seccomp: compiles the deny list of [`super::rules`] and installs it (seccomp(2)).
//!
//! What matches no rule is allowed: scripts use a wide part of the kernel through libraries that nobody here knows, and an
//! allow list would break them one by one. What the list denies, nobody running a script needs.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, sock_filter,
};

use super::layers::{Layer, SECCOMP};
use super::rules::{Answer, Argument, Rule, Test, all};

/// Installs the filters in the calling process, and so in all that it starts.
pub(super) fn install() -> Layer {
    let rules = all();
    let denied = rules.iter().filter(|rule| rule.answer == Answer::NotPermitted).count();
    for answer in [Answer::NotThere, Answer::NotPermitted] {
        let installed =
            compile(&rules, answer).and_then(|filter| apply_filter(&filter).map_err(|error| error.to_string()));
        if let Err(error) = installed {
            return Layer::missing(SECCOMP, error);
        }
    }
    Layer::active(SECCOMP, format!("{denied} denied"))
}

/// The program that gives `answer` to what matches one of its rules.
fn compile(rules: &[Rule], answer: Answer) -> Result<BpfProgram, String> {
    let mut by_call = BTreeMap::<i64, Vec<SeccompRule>>::new();
    for rule in rules.iter().filter(|rule| rule.answer == answer) {
        let entry = by_call.entry(rule.call).or_default();
        if !rule.when.is_empty() {
            let conditions = rule.when.iter().map(condition).collect::<Result<Vec<_>, _>>();
            let conditions = conditions.map_err(|error| error.to_string())?;
            entry.push(SeccompRule::new(conditions).map_err(|error| error.to_string())?);
        }
    }
    let errno = match answer {
        Answer::NotPermitted => libc::EPERM,
        Answer::NotThere => libc::ENOSYS,
    };
    let errno = u32::try_from(errno).map_err(|error| error.to_string())?;
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(by_call, SeccompAction::Allow, SeccompAction::Errno(errno), architecture);
    // A call made by another architecture's numbers kills the process: seccompiler puts that check first.
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(|error| error.to_string())?;
    Ok(refuse_x32(program))
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
        for answer in [Answer::NotThere, Answer::NotPermitted] {
            let program = compile(&all(), answer).expect("compiles");
            assert!(program.len() < 4096, "the kernel takes at most 4096 instructions");
            assert_eq!(program.get(1).map(|check| check.k), Some(0x4000_0000));
        }
    }

    #[test]
    fn no_call_is_both_denied_whole_and_in_part() {
        let rules = all();
        for rule in rules.iter().filter(|rule| rule.when.is_empty()) {
            let same = rules.iter().filter(|other| other.call == rule.call).count();
            assert_eq!(same, 1, "{} has rules that can't matter", rule.call);
        }
    }
}
