//! Every transform, in every field, against a server that knows the value as a secret; what the text is without redaction is
//! asked of another server, to which the same value is plain configuration.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Admin, Agent, Server, text};
use crate::transforms::{TRANSFORMS, Verdict, script};

pub(crate) const SECRET: &str = "sk-live-4fQ2zL9w+Tb71/Xc0m'9";

const SHOW: &str =
    "print('before', x, 'after')\nprint(x, file=sys.stderr)\nset_result({'value': x, 'k ' + x: 'as a name'})";
const FAIL: &str = "raise ValueError('it is ' + x)";

pub(crate) async fn profile(server: &Server, secret: bool) -> (Admin, Agent) {
    let admin = server.admin().await.clone();
    admin.post("/credentials", &json!({"name": "KEY", "value": SECRET, "secret": secret})).await.expect(201);
    let agent = admin.locked_profile(&["KEY"]).await;
    (admin, agent)
}

/// Without what may be lost or added on the way, such as the escapes of another layer.
fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\\' | '"' | '\'')).collect()
}

/// Whether three quarters of the text, from wherever, are in what was shown.
pub(crate) fn is_in(spelled: &str, shown: &str) -> bool {
    let (spelled, shown): (Vec<char>, String) = (bare(spelled).chars().collect(), bare(shown));
    let window = (spelled.len() * 3 / 4).max(1);
    spelled.windows(window).any(|piece| shown.contains(&piece.iter().collect::<String>()))
}

/// The texts that an agent sees of two executions, by field.
fn fields<'a>(shown: &'a Value, failed: &'a Value) -> Vec<(&'static str, String)> {
    let of = |value: &'a Value| if value.is_string() { value.as_str().unwrap().to_owned() } else { value.to_string() };
    vec![
        ("stdout", of(&shown["stdout"])),
        ("stderr", of(&shown["stderr"])),
        ("result", shown["result"].to_string()),
        ("error", of(&failed["error"])),
        ("traceback", of(&failed["traceback"])),
    ]
}

/// Runs all of it and returns the lines of the table, and the texts that must be nowhere.
async fn observe(agent: &Agent, admin: &Admin, plain: &Agent) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut nowhere) = (Vec::new(), Vec::new());
    for (name, expression, expected) in TRANSFORMS {
        let spelled = plain.result(&script(expression, "set_result(x)")).await.as_str().unwrap().to_owned();
        let shown = agent.run(&script(expression, SHOW)).await;
        let failed = agent.run(&script(expression, FAIL)).await;
        assert_eq!(
            (&shown["status"], &failed["status"]),
            (&json!("completed"), &json!("error")),
            "{name}: {shown} {failed}"
        );
        let left: Vec<&str> = fields(&shown, &failed)
            .into_iter()
            .filter(|(_, shown)| is_in(&spelled, shown))
            .map(|(field, _)| field)
            .collect();
        let details =
            [admin.execution(text(&shown, "execution_id")).await, admin.execution(text(&failed, "execution_id")).await];
        let suspicious = details.iter().all(|detail| detail["suspicious"] == true);
        let rows: Vec<&Value> = details.iter().flat_map(|detail| detail["redactions"].as_array().unwrap()).collect();
        let verdict = match (left.is_empty(), suspicious) {
            (true, false) => Verdict::Scrubbed,
            (true, true) => Verdict::Alarm,
            (false, _) => Verdict::Through,
        };
        assert_eq!(verdict, *expected, "{name}: {spelled:?} is left in {left:?}: {shown} {failed}");
        if verdict == Verdict::Through {
            lines.push(format!("| {name} | gets through | |"));
            continue;
        }
        for field in ["stdout", "stderr", "result", "error"] {
            assert!(
                rows.iter().any(|row| row["field"] == field && row["credential"] == "KEY"),
                "{name}: {field} is not recorded"
            );
        }
        assert!(
            text(&shown, "stdout").starts_with("before ") && text(&shown, "stdout").ends_with(" after\n"),
            "{name}: {shown}"
        );
        let mut forms: Vec<&str> = rows.iter().map(|row| text(row, "form")).collect();
        forms.sort_unstable();
        forms.dedup();
        let alarm = if verdict == Verdict::Alarm { "scrubbed, alarm" } else { "scrubbed" };
        lines.push(format!("| {name} | {alarm} | {} |", forms.join(", ")));
        nowhere.push(spelled);
    }
    (lines, nowhere)
}

/// Compares the table with the one in the documentation.
fn check_document(lines: &[String]) {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/redaction.md")).unwrap();
    let mut table = String::from("| what a script shows | verdict | recorded as |\n| --- | --- | --- |\n");
    for line in lines {
        writeln!(table, "{line}").unwrap();
    }
    println!("{table}");
    assert!(document.contains(&table), "docs/redaction.md has another table than this:\n{table}");
}

fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn the_table_of_transforms_is_what_happens_and_what_is_scrubbed_is_in_no_file_and_no_log() {
    let mut server = Server::start();
    let plain_server = Server::start();
    let (admin, agent) = profile(&server, true).await;
    let (_, plain) = profile(&plain_server, false).await;
    let (lines, nowhere) = observe(&agent, &admin, &plain).await;
    check_document(&lines);

    let listed = admin.executions("").await;
    assert!(listed.iter().any(|execution| execution["suspicious"] == true), "{listed:?}");
    assert!(listed.iter().any(|execution| execution["suspicious"] == false), "{listed:?}");
    let ended = server.stop();
    let files = files_below(server.dir());
    assert!(files.iter().any(|file| file.ends_with("airlock.redb")), "{files:?}");
    assert!(ended.stderr.contains("disguised a credential") && ended.stderr.contains("base64"), "no alarm in the log");
    let mut places: Vec<(String, Vec<u8>)> = vec![("the log".to_owned(), ended.stderr.into_bytes())];
    places.extend(files.into_iter().map(|file| (file.display().to_string(), fs::read(&file).unwrap())));
    for spelled in nowhere {
        for (place, bytes) in &places {
            assert!(memchr::memmem::find(bytes, spelled.as_bytes()).is_none(), "{spelled:?} is in {place}");
        }
    }
}
