//! What was checked, and how it came out.

use std::io;
use std::time::Duration;

use super::show::{Paint, Show};

/// The claims of the story, in order.
#[derive(Default)]
pub(super) struct Verdict {
    claims: Vec<(bool, String)>,
}

impl Verdict {
    /// Notes whether `claim` holds: a whole sentence that is true if it does.
    pub(super) fn that(&mut self, holds: bool, claim: impl Into<String>) {
        self.claims.push((holds, claim.into()));
    }

    /// The list, and how to start for real.
    pub(super) fn show(&self, show: &mut Show<'_>, took: Duration) -> io::Result<()> {
        show.title("What was checked")?;
        show.gap()?;
        for (holds, claim) in &self.claims {
            let (mark, paint) = if *holds { ("ok ", Paint::Good) } else { ("NOT", Paint::Bad) };
            show.marked(mark, paint, claim)?;
        }
        let held = self.claims.iter().filter(|(holds, _)| *holds).count();
        show.gap()?;
        show.sentence(&format!("{held} of {} hold, after {:.1} s.", self.claims.len(), took.as_secs_f64()))?;
        show.title("To start for real")?;
        show.gap()?;
        show.columns(&[
            ("airlock serve --data-dir ./data", "then open http://127.0.0.1:9090 and set the password"),
            ("http://127.0.0.1:9090/skill.md", "is what your agent has to read"),
            ("airlock serve --help", "says what can be set"),
        ])
    }

    /// An error that names what does not hold.
    pub(super) fn outcome(&self) -> anyhow::Result<()> {
        let broken: Vec<&str> =
            self.claims.iter().filter(|(holds, _)| !holds).map(|(_, claim)| claim.as_str()).collect();
        anyhow::ensure!(broken.is_empty(), "this was not so: {}", broken.join(" "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_claim_that_does_not_hold_is_an_error_that_names_it() {
        let mut verdict = Verdict::default();
        verdict.that(true, "It is day.");
        assert!(verdict.outcome().is_ok());
        verdict.that(false, "It is warm.");
        assert_eq!(verdict.outcome().unwrap_err().to_string(), "this was not so: It is warm.");
        let mut out = Vec::new();
        verdict.show(&mut Show::new(&mut out, false), Duration::from_millis(1_250)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("  ok   It is day.\n  NOT  It is warm.\n") && text.contains("1 of 2 hold"), "{text}");
    }
}
