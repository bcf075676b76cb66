//! JSON and sentences as lines of a bounded width.

use serde_json::{Map, Value};

/// Stands for what was left out.
const CUT: &str = "...";
/// In front of each line of a text of several lines.
const BAR: &str = "| ";
const INDENT: &str = "  ";

/// Words of `text` in lines of up to `width` characters. A longer word gets a line to itself.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if length(line) + 1 + length(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The members of an object that are of interest, in this order, and a mark if there are others.
pub(super) fn pick(value: &Value, members: &[&str]) -> Value {
    let Value::Object(object) = value else { return value.clone() };
    let mut taken: Map<String, Value> =
        members.iter().filter_map(|name| Some(((*name).to_owned(), object.get(*name)?.clone()))).collect();
    if taken.len() < object.len() {
        taken.insert(CUT.to_owned(), Value::Null);
    }
    Value::Object(taken)
}

/// JSON for people: on one line if it fits, else with the values of an object below each other. Texts of several lines
/// stand as they are, behind bars, and so do long ones; what is too long even so is cut.
pub(super) fn render(value: &Value, width: usize) -> Vec<String> {
    fitting(value, width).map_or_else(|| broken(value, width), |line| vec![line])
}

fn fitting(value: &Value, width: usize) -> Option<String> {
    one_line(value).filter(|line| length(line) <= width)
}

/// On several lines.
fn broken(value: &Value, width: usize) -> Vec<String> {
    let inner = width.saturating_sub(INDENT.len());
    match value {
        Value::Object(members) => {
            let column = members.keys().map(|name| label(name).len() + 1).max().unwrap_or(0);
            let last = members.len().saturating_sub(1);
            let shown = members.iter().enumerate();
            let shown = shown.flat_map(|(at, (name, value))| member(&label(name), column, value, inner, at < last));
            enclosed("{", shown, "}")
        }
        Value::Array(items) => {
            let last = items.len().saturating_sub(1);
            let shown = items.iter().enumerate().flat_map(|(at, item)| member("", 0, item, inner, at < last));
            enclosed("[", shown, "]")
        }
        Value::String(text) => bars(text, width),
        other => vec![cut(&other.to_string(), width)],
    }
}

fn enclosed(open: &str, lines: impl Iterator<Item = String>, close: &str) -> Vec<String> {
    let indented = lines.map(|line| format!("{INDENT}{line}"));
    std::iter::once(open.to_owned()).chain(indented).chain([close.to_owned()]).collect()
}

/// One member or item behind its label: beside it if it fits there, else from there on downwards.
fn member(label: &str, column: usize, value: &Value, width: usize, comma: bool) -> Vec<String> {
    if label == CUT {
        return vec![CUT.to_owned()];
    }
    let comma = if comma { "," } else { "" };
    if let Some(line) = fitting(value, width.saturating_sub(column + comma.len())) {
        return vec![format!("{label:column$}{line}{comma}")];
    }
    let beside = if value.is_string() { INDENT.len() } else { comma.len() };
    let mut lines = broken(value, width.saturating_sub(beside));
    if value.is_string() {
        let bars = lines.iter().map(|line| format!("{INDENT}{line}"));
        return std::iter::once(label.to_owned()).filter(|label| !label.is_empty()).chain(bars).collect();
    }
    if let Some(first) = lines.first_mut() {
        *first = format!("{label:column$}{first}");
    }
    if let Some(last) = lines.last_mut() {
        last.push_str(comma);
    }
    lines
}

fn label(name: &str) -> String {
    if name == CUT { CUT.to_owned() } else { format!("{}:", quoted(name)) }
}

/// `None` if it holds a text of several lines.
fn one_line(value: &Value) -> Option<String> {
    let listed = |parts: Option<Vec<String>>| Some(parts?.join(", "));
    match value {
        Value::Object(members) => {
            let part = |(name, value): (&String, &Value)| {
                if name == CUT { Some(CUT.to_owned()) } else { Some(format!("{} {}", label(name), one_line(value)?)) }
            };
            Some(format!("{{{}}}", listed(members.iter().map(part).collect())?))
        }
        Value::Array(items) => Some(format!("[{}]", listed(items.iter().map(one_line).collect())?)),
        Value::String(text) if text.trim_end_matches('\n').contains('\n') => None,
        other => Some(other.to_string()),
    }
}

/// A text's lines behind bars. A text of one line is wrapped, as it is one for people; in others, lines have a meaning.
fn bars(text: &str, width: usize) -> Vec<String> {
    let text = text.trim_end_matches('\n');
    let lines = if text.contains('\n') {
        text.split('\n').map(str::to_owned).collect()
    } else {
        wrap(text, width.saturating_sub(BAR.len()))
    };
    lines.iter().map(|line| cut(format!("{BAR}{}", printable(line)).trim_end(), width)).collect()
}

/// Without the characters that steer a terminal: a script chooses what it prints, not how the demo looks.
fn printable(line: &str) -> String {
    line.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The first characters, if there are more than fit.
fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(CUT.len())).collect();
    kept + CUT
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value, width: usize) -> String {
        render(value, width).join("\n")
    }

    #[test]
    fn what_fits_is_on_one_line() {
        let value = json!({"b": [1, 2.50, null], "a": {"x": "é\n"}, "empty": {}, "none": []});
        let line = r#"{"b": [1, 2.5, null], "a": {"x": "é\n"}, "empty": {}, "none": []}"#;
        assert_eq!(text(&value, line.chars().count()), line);
        assert_ne!(text(&value, line.chars().count() - 1), line);
    }

    #[test]
    fn values_stand_below_each_other_when_it_does_not_fit() {
        let list = json!([{"name": "A", "count": 1}, {"name": "B", "count": 2}]);
        let value = json!({"id": 1, "description": "some words", "list": list, "...": null});
        let expected = r#"{
  "id":          1,
  "description": "some words",
  "list":        [
    {"name": "A", "count": 1},
    {"name": "B", "count": 2}
  ],
  ...
}"#;
        assert_eq!(text(&value, 34), expected);
    }

    #[test]
    fn a_text_of_several_lines_stands_behind_bars_without_control_characters() {
        let value = json!({"error": null, "traceback": "Traceback:\n  File \"x\"\n\n\u{1b}[31mred\n", "z": 1});
        let expected = r#"{
  "error":     null,
  "traceback":
    | Traceback:
    |   File "x"
    |
    |  [31mred
  "z":         1
}"#;
        assert_eq!(text(&value, 90), expected);
    }

    #[test]
    fn a_long_text_of_one_line_is_wrapped_behind_bars() {
        let value = json!({"detail": "words that do not fit beside it"});
        let expected = "{\n  \"detail\":\n    | words that do\n    | not fit beside\n    | it\n}";
        assert_eq!(text(&value, 20), expected);
    }

    #[test]
    fn what_is_too_long_is_cut_and_no_line_is_wider_than_asked() {
        let long = "x".repeat(200);
        assert_eq!(render(&json!({"a": long}), 20), ["{", "  \"a\":", "    | xxxxxxxxxxx...", "}"]);
        let near = json!({"label": [{"name": "SHOP", "about": "something", "exists": true}]});
        let mixed = json!([{"b": long, "c": [long], "d": format!("1\n{long}")}, near, 7]);
        let deep = json!({"a": mixed, "e": long});
        for width in 20..=99 {
            for line in [&deep, &near].into_iter().flat_map(|value| render(value, width)) {
                assert!(width < 40 || line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn sentences_are_wrapped_between_words() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable x", 4), ["unbreakable", "x"]);
        assert!(wrap(" ", 4).is_empty());
    }

    #[test]
    fn only_what_is_of_interest_is_picked_and_it_is_said_that_there_is_more() {
        let picked = pick(&json!({"a": 1, "b": 2, "c": 3}), &["c", "a", "missing"]);
        assert_eq!(text(&picked, 80), r#"{"c": 3, "a": 1, ...}"#);
        assert_eq!(text(&pick(&json!({"a": 1}), &["a"]), 80), r#"{"a": 1}"#);
        assert_eq!(text(&pick(&json!({"a": 1}), &[]), 80), "{...}");
    }
}
