//! Ordinary logs, source and JSON against values that have nothing to do with them: not one byte may change.

use proptest::prelude::*;

use super::*;

/// Files that the test finds: this project's own source, and what it is built with.
fn source() -> Vec<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut texts: Vec<String> =
        ["Cargo.lock", "Cargo.toml", "README.md", "ARCHITECTURE.md", "static/skill.md", "Makefile", "deny.toml"]
            .iter()
            .map(|name| std::fs::read_to_string(format!("{root}/{name}")).unwrap())
            .collect();
    let mut folders = vec![std::path::PathBuf::from(format!("{root}/actors/src")), format!("{root}/src/http").into()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                texts.push(std::fs::read_to_string(entry).unwrap());
            }
        }
    }
    texts
}

/// Logs, tables and documents as programs print them.
const OUTPUT: &str = r#"
2026-11-28T05:26:29.123Z INFO  [http-nio-8080-exec-7] o.s.web.servlet.DispatcherServlet : Completed 200 OK in 12 ms
Nov 28 05:26:29 host-17 kernel: [1234567.890123] eth0: link up, 1000 Mbps, full duplex, MAC 52:54:00:12:34:56
192.168.10.24 - - [28/Nov/2026:05:26:29 +0000] "GET /api/v1/items?page=2&sort=-created_at HTTP/1.1" 200 5316 "-" "Mozilla/5.0 (X11; Linux x86_64)"
level=warn ts=2026-11-28T05:26:29Z caller=main.go:120 msg="retrying, attempt 3" err="dial tcp 10.0.0.7:5432: connect: connection refused"
Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/urllib3/connectionpool.py", line 793, in urlopen
    response = self._make_request(conn, method, url, timeout=timeout_obj, body=body, headers=headers)
{"id":"550e8400-e29b-41d4-a716-446655440000","sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","n":[1,2,3,4,5,6,7,8,9,10,11,12]}
{"eventTime":"2026-11-28T05:26:29Z","userAgent":"aws-cli/2.15.0 Python/3.11.6","requestParameters":{"bucketName":"logs-eu-west-1","Host":"s3.amazonaws.com"}}
-----BEGIN CERTIFICATE-----
MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJRTESMBAGA1UEChMJQmFsdGltb3JlMRMw
EQYDVQQLEwpDeWJlclRydXN0MSIwIAYDVQQDExlCYWx0aW1vcmUgQ3liZXJUcnVzdCBSb290MB4XDTAwMDUxMjE4NDYwMFoX
-----END CERTIFICATE-----
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==
 id |     name      |  balance  | created             | 3.14159265358979 | 2.71828182845905
  1 | Ada Lovelace  |  1024.50  | 1843-10-18 00:00:00 | 0000000000000000 | ffffffffffffffff
commit 3ca149d2b1e9f6b3b1fd7b0f9c5e2a8d7c6b5a49 (HEAD -> main, tag: v1.2.3, origin/main)
%PDF-1.7 %%EOF \x00\x01 &amp; &#169; %20 \u00e9 100% \n\t C:\new\table\users ${HOME} $(date +%s)
drwxr-xr-x 12 root root 4096 Nov 28 05:26 ..   pid=31337 rss=120.5MB load=0.42 0.37 0.31 uptime=14d 03:12:45
"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_found_in_ordinary_text_whatever_the_values(
        values in proptest::collection::vec(
            prop_oneof![
                "[A-Za-z0-9]{8,12}", "[a-z]{8,10}", "[0-9]{8,14}", "[A-Za-z0-9!-/]{8,20}", "[a-f0-9]{8,40}", "[A-Za-z0-9+/]{40}", "[à-ÿ]{8}[0-9]{2}",
            ],
            20,
        ),
    ) {
        let named: Vec<(String, &String)> = values.iter().enumerate().map(|(n, value)| (format!("N{n}"), value)).collect();
        let named: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let redactor = redactor(&named);
        for value in &values {
            prop_assume!(!OUTPUT.contains(value.as_str()));
        }
        let shown = redactor.scrub(OUTPUT, "stdout", &mut Counts::default());
        prop_assert_eq!(shown, OUTPUT, "{:?}", values);
    }
}

#[test]
fn nothing_is_found_in_source_by_a_hundred_values_of_eight_characters() {
    // Eight letters and digits that no file has, spread over what passwords look like.
    let value = |n: u64| {
        let mut number = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let alphabet: &[u8] = [
            b"abcdefghijklmnopqrstuvwxyz".as_slice(),
            b"0123456789",
            b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789",
        ][n as usize % 3];
        (0..8)
            .map(|_| {
                number = (number ^ number >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                alphabet[(number >> 40) as usize % alphabet.len()] as char
            })
            .collect::<String>()
    };
    let values: Vec<(String, String)> = (0..100).map(|n| (format!("N{n}"), value(n))).collect();
    let named: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let redactor = redactor(&named);
    let texts = source();
    assert!(texts.iter().map(String::len).sum::<usize>() > 500_000, "too little text to prove anything");
    for text in texts {
        let mut counts = Counts::default();
        let shown = redactor.scrub(&text, "stdout", &mut counts);
        assert!(shown == text, "{:?} were found in ordinary text", counts.into_redactions());
    }
}

#[test]
fn a_word_is_not_found_in_what_only_looks_like_it() {
    let shown = |value: &str, text: &str| scrub(&[("A", value)], text);
    for (value, text) in [
        ("database", "the data base, DATA-BASE and Data\nBase"),
        ("localhost", "LOCALHOST and Local Host"),
        ("username1", "username: 1; user name 1"),
        ("20261128", "2026-11-28, 2026 11 28, [2,0,2,6,1,1,2,8]"),
        ("12345678", "[1, 2, 3, 4, 5, 6, 7, 8]"),
    ] {
        assert_eq!(shown(value, text), text, "{value}");
    }
}
