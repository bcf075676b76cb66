//! Prints the story. Everything printed passes `Show::line`, which masks secrets (DE-2).

use std::io::{self, Write};

use serde_json::Value;

use super::client::{Answer, Ask};
use super::layout::{pick, render, wrap};
use super::scripts::REDACTED;

/// No line is wider, in characters.
const WIDTH: usize = 100;
const MASK: &str = "********";
/// What is below a step's number.
const INDENT: usize = 4;

/// A colour, on a terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
    Marked,
}

impl Paint {
    /// The parameters of the "select graphic rendition" sequence (ECMA-48, 8.3.117).
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Marked => "1;33",
        }
    }
}

/// Where it is printed, and what must not be.
pub(super) struct Show<'a> {
    out: &'a mut dyn Write,
    colour: bool,
    secrets: Vec<String>,
    step: usize,
}

impl<'a> Show<'a> {
    pub(super) fn new(out: &'a mut dyn Write, colour: bool) -> Self {
        Self { out, colour, secrets: Vec::new(), step: 0 }
    }

    /// From now on, `secret` is masked wherever it would be printed.
    pub(super) fn mask(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.push(secret.to_owned());
        }
    }

    /// The title of a part.
    pub(super) fn title(&mut self, text: &str) -> io::Result<()> {
        self.gap()?;
        self.line(0, &[(Paint::Strong, text)])
    }

    /// Who does what, and why: one sentence or two, numbered.
    pub(super) fn step(&mut self, text: &str) -> io::Result<()> {
        self.step += 1;
        self.gap()?;
        self.marked(&self.step.to_string(), Paint::Strong, text)
    }

    /// Words without a number.
    pub(super) fn sentence(&mut self, text: &str) -> io::Result<()> {
        for line in wrap(text, WIDTH - 2) {
            self.line(2, &[(Paint::Plain, &line)])?;
        }
        Ok(())
    }

    /// Words behind a mark of up to three characters.
    pub(super) fn marked(&mut self, mark: &str, paint: Paint, text: &str) -> io::Result<()> {
        let column = mark.len().max(2);
        for (index, line) in wrap(text, WIDTH - column - INDENT).iter().enumerate() {
            let mark = if index == 0 { mark } else { "" };
            self.line(2, &[(paint, &format!("{mark:>column$}")), (Paint::Plain, &format!("  {line}"))])?;
        }
        Ok(())
    }

    /// A command and the line that it answers.
    pub(super) fn command(&mut self, command: &str, line: &str) -> io::Result<()> {
        self.gap()?;
        self.quote("$", &[(Paint::Strong, command)])?;
        self.quote(" ", &[(Paint::Plain, line)])
    }

    /// Two aligned columns, without wrapping.
    pub(super) fn columns(&mut self, rows: &[(&str, &str)]) -> io::Result<()> {
        let column = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
        for (left, right) in rows {
            self.line(2, &[(Paint::Strong, &format!("{left:column$}")), (Paint::Plain, &format!("  {right}"))])?;
        }
        Ok(())
    }

    /// A request. `body` is what is shown of it; what is sent may be longer.
    pub(super) fn request(&mut self, ask: &Ask<'_>, body: Option<&Value>) -> io::Result<()> {
        self.gap()?;
        self.quote(">", &[(Paint::Strong, ask.method), (Paint::Plain, " "), (Paint::Plain, &ask.path)])?;
        if let Some(token) = ask.bearer {
            self.quote(">", &[(Paint::Faint, "Authorization: Bearer "), (Paint::Faint, token)])?;
        }
        body.map_or(Ok(()), |body| self.json(">", body))
    }

    /// An answer, or those `members` of it that are of interest here.
    pub(super) fn answer(&mut self, answer: &Answer, members: &[&str]) -> io::Result<()> {
        let paint = if answer.status < 400 { Paint::Good } else { Paint::Bad };
        self.quote("<", &[(paint, &answer.status_line)])?;
        self.json("<", &pick(&answer.json, members))
    }

    /// An empty line; what came before it is seen at once, also through a pipe.
    pub(super) fn gap(&mut self) -> io::Result<()> {
        writeln!(self.out)?;
        self.out.flush()
    }

    fn json(&mut self, mark: &str, value: &Value) -> io::Result<()> {
        // Masked before it is laid out: no line's end may cut through a secret and hide it from the mask.
        let masked = self.masked(value);
        for line in render(&masked, WIDTH - 2 - INDENT - 2) {
            self.quote(mark, &[(Paint::Plain, &line)])?;
        }
        Ok(())
    }

    fn quote(&mut self, mark: &str, parts: &[(Paint, &str)]) -> io::Result<()> {
        let mark = format!("{mark} ");
        self.line(2 + INDENT, &[&[(Paint::Faint, mark.as_str())], parts].concat())
    }

    /// One line, masked and painted.
    fn line(&mut self, indent: usize, parts: &[(Paint, &str)]) -> io::Result<()> {
        write!(self.out, "{:indent$}", "")?;
        for (paint, text) in parts {
            let masked = self.hide(text);
            self.painted(*paint, &masked)?;
        }
        writeln!(self.out)
    }

    fn painted(&mut self, paint: Paint, text: &str) -> io::Result<()> {
        if !self.colour {
            return write!(self.out, "{text}");
        }
        let mut pieces = text.split(REDACTED).peekable();
        while let Some(piece) = pieces.next() {
            self.coloured(paint, piece)?;
            if pieces.peek().is_some() {
                self.coloured(Paint::Marked, REDACTED)?;
            }
        }
        Ok(())
    }

    fn coloured(&mut self, paint: Paint, text: &str) -> io::Result<()> {
        if paint == Paint::Plain || text.is_empty() {
            return write!(self.out, "{text}");
        }
        write!(self.out, "\x1b[{}m{text}\x1b[0m", paint.code())
    }

    fn masked(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.hide(text)),
            Value::Array(items) => items.iter().map(|item| self.masked(item)).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| (self.hide(name), self.masked(value))).collect()
            }
            plain => plain.clone(),
        }
    }

    fn hide(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(colour: bool, print: impl FnOnce(&mut Show<'_>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        let mut show = Show::new(&mut out, colour);
        show.mask("sesame");
        print(&mut show).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn answer(status: u16, json: Value) -> Answer {
        Answer { status, status_line: format!("{status} X"), body: json.to_string().into_bytes(), json }
    }

    #[test]
    fn a_request_and_its_answer_are_quoted() {
        let text = shown(false, |show| {
            show.step("The person opens.")?;
            let body = json!({"password": "open sesame"});
            show.request(&Ask::post("/open").by("sesame"), Some(&body))?;
            show.answer(&answer(200, json!({"token": "sesame", "id": 7})), &["token"])
        });
        let expected = "
   1  The person opens.

      > POST /open
      > Authorization: Bearer ********
      > {\"password\": \"open ********\"}
      < 200 X
      < {\"token\": \"********\", ...}
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_secret_is_masked_wherever_it_is_and_however_long_the_line() {
        let text = shown(true, |show| {
            show.title("sesame")?;
            show.step(&"sesame ".repeat(40))?;
            show.command("sesame", "sesame")?;
            show.columns(&[("sesame", "sesame")])?;
            let body = json!({"sesame": "sesame", "long": [format!("{}sesame", "x".repeat(80))], "lines": "a\nsesame"});
            show.request(&Ask::get("/sesame"), Some(&body))?;
            show.answer(&answer(500, body), &["lines", "long"])
        });
        assert!(text.contains(MASK) && !text.contains("ses"), "{text}");
    }

    #[test]
    fn no_line_is_too_wide_and_colours_are_for_terminals_alone() {
        let print = |show: &mut Show<'_>| {
            show.step(&"word ".repeat(60))?;
            show.marked("NOT", Paint::Bad, &"word ".repeat(60))?;
            show.sentence(&"word ".repeat(60))?;
            let long = "x".repeat(300);
            show.request(&Ask::post("/p"), Some(&json!({"a": long, "b": [[long]], "t": format!("1\n{long}")})))
        };
        let plain = shown(false, print);
        assert!(plain.lines().all(|line| line.chars().count() <= WIDTH), "{plain}");
        assert!(plain.lines().any(|line| line.chars().count() == WIDTH) && !plain.contains('\x1b'), "{plain}");
        assert!(shown(true, print).contains("\x1b[1mPOST\x1b[0m"));
    }

    #[test]
    fn what_was_redacted_stands_out() {
        let text = shown(true, |show| show.sentence("a [REDACTED] b"));
        assert_eq!(text, "  a \x1b[1;33m[REDACTED]\x1b[0m b\n");
    }
}
