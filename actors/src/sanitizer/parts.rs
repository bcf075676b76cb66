//! What of a value must not be seen: the value, and whatever inside it is a secret of its own.

use zeroize::Zeroizing;

use super::squeeze::squeezed_and_folded;

/// Letters and digits that a text needs for its encodings, and for itself with things between, to be told from chance.
pub(super) const ENOUGH: usize = 8;
/// Digits that a number needs to be told from ordinary ones.
pub(super) const ENOUGH_DIGITS: usize = 12;
/// Different letters and digits that a text needs to be told from a row of one, or of a few.
pub(super) const ENOUGH_DIFFERENT: usize = 4;
/// A line of a value of many lines is searched for from this many on.
const LINE: usize = 16;
/// A part that is called a password or the like, from this many on.
const SECRET: usize = 6;
/// Letters and digits of a stretch of a long value: each stretch counts by itself, so that half a private key is one too.
const STRETCH: usize = 96;
/// Stretches of one value, at most: the stretches of a longer one are longer.
const STRETCHES: usize = 64;
/// Parts of one value, at most: the rest is still found as a part of the whole.
const PARTS: usize = 64;

/// What names of secrets end with.
const SECRET_NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "secret",
    "token",
    "apikey",
    "accountkey",
    "accesskey",
    "privatekey",
    "secretkey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "sharedkey",
];

/// Values so common that every other log has them: they are found as they are, in no other form.
pub(super) const COMMON: &[&str] = &[
    "password",
    "password1",
    "passw0rd",
    "changeme",
    "changeit",
    "default",
    "disabled",
    "enabled",
    "localhost",
    "postgres",
    "postgresql",
    "production",
    "staging",
    "development",
    "database",
    "username",
    "administrator",
    "undefined",
    "container",
    "kubernetes",
    "internal",
    "external",
    "readonly",
    "readwrite",
    "public",
    "private",
    "secret",
    "example",
    "sunshine",
    "football",
    "baseball",
    "princess",
    "superman",
    "iloveyou",
    "trustno1",
    "letmein",
    "welcome",
    "welcome1",
    "starwars",
    "computer",
    "whatever",
    "redacted",
    "unknown",
    "required",
    "optional",
    "security",
    "service",
    "services",
    "customer",
    "customers",
    "document",
    "documents",
    "template",
    "register",
    "anonymous",
    "authorization",
    "credentials",
    "credential",
    "requests",
    "response",
    "exception",
    "traceback",
    "warnings",
    "execution",
    "application",
    "information",
    "connection",
    "connected",
    "completed",
    "successful",
    "succeeded",
    "configuration",
    "environment",
    "test1234",
    "admin123",
    "qwerty123",
    "qwertyuiop",
    "abcdefgh",
    "abcd1234",
    "password123",
];

/// How freely a text may be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freedom {
    /// Short, or a common word: as it is, nothing else.
    Exactly,
    /// One word, or only digits: ordinary text may have it with a space in it, so something must stand between most of its
    /// characters before that counts.
    Word,
    /// Like nothing else.
    Any,
}

/// One thing to search for.
pub(super) struct Part {
    /// The text.
    pub(super) text: Zeroizing<String>,
    /// How freely.
    pub(super) freedom: Freedom,
    /// One of several stretches that make up a long text.
    pub(super) stretch: bool,
}

/// Whether a value carries structure: its last characters are then not its own.
pub(super) fn is_structured(value: &str) -> bool {
    let value = value.trim();
    value.contains("://")
        || value.contains('\n')
        || value.starts_with(['{', '['])
        || value.contains(char::is_whitespace)
        || value.bytes().filter(|byte| matches!(byte, b'=' | b';')).count() > 2
}

/// How freely `text` may be searched for.
pub(super) fn freedom(text: &str) -> Freedom {
    let squeezed = squeezed_and_folded(text.as_bytes());
    let digits = squeezed.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = squeezed.len() - digits;
    let number = letters == 0 && digits < ENOUGH_DIGITS;
    if squeezed.len() < ENOUGH || number || is_common(text) || distinct(&squeezed) < ENOUGH_DIFFERENT {
        return Freedom::Exactly;
    }
    let cases: Vec<bool> = text.chars().filter(|c| c.is_alphabetic()).map(char::is_uppercase).collect();
    let changes = cases.windows(2).filter(|pair| pair.first() != pair.last()).count();
    let mixed = digits > 0 && letters > 0 && (digits > 2 || squeezed.len() >= 10);
    if letters > 0 && (mixed || changes > 2 || squeezed.len() >= 16) { Freedom::Any } else { Freedom::Word }
}

/// Whether it is a common word, in whatever case.
pub(super) fn is_common(text: &str) -> bool {
    COMMON.iter().any(|word| word.eq_ignore_ascii_case(text.trim()))
}

fn distinct(bytes: &[u8]) -> usize {
    let mut seen = [false; 256];
    for &byte in bytes {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

/// Everything to search for because of `value`, itself first.
pub(super) fn of(value: &str) -> Vec<Part> {
    let mut texts: Vec<Zeroizing<String>> = Vec::new();
    let mut add = |text: &str| {
        if !text.is_empty() && texts.len() < PARTS && !texts.iter().any(|known| known.as_str() == text) {
            texts.push(Zeroizing::new(text.to_owned()));
        }
    };
    add(value);
    let trimmed = value.trim();
    if enough(trimmed, ENOUGH) || trimmed.len() >= ENOUGH {
        add(trimmed);
    }
    for inner in inner(trimmed) {
        add(&inner);
    }
    texts.into_iter().flat_map(stretches).collect()
}

/// What is a secret of its own inside a structured value.
fn inner(value: &str) -> Vec<Zeroizing<String>> {
    let mut found = Vec::new();
    let mut add = |text: &str, least: usize| {
        if enough(text, least) && !is_common(text) {
            found.push(Zeroizing::new(text.to_owned()));
        }
    };
    if let Some(userinfo) = userinfo(value) {
        add(userinfo, ENOUGH);
        let password = userinfo.split_once(':').map_or(userinfo, |(_, password)| password);
        add(password, SECRET);
        add(&percent_decoded(password), SECRET);
        add(&percent_decoded(userinfo), ENOUGH);
    }
    for scheme in ["Bearer ", "Basic ", "Token ", "bearer ", "token "] {
        if let Some(token) = value.strip_prefix(scheme) {
            add(token.trim(), ENOUGH);
        }
    }
    let token = value.rsplit(' ').next().unwrap_or(value);
    if token.starts_with("eyJ") && token.matches('.').count() == 2 {
        // A signature makes a claim good; header and claims alone are no secret.
        add(token.rsplit('.').next().unwrap_or_default(), LINE);
    }
    if value.contains('\n') {
        value.lines().map(str::trim).filter(|line| !line.starts_with("-----")).for_each(|line| {
            if freedom(line) == Freedom::Any {
                add(line, LINE);
            }
        });
    }
    if value.starts_with(['{', '['])
        && let Ok(tree) = serde_json::from_str::<serde_json::Value>(value)
    {
        leaves(&tree, "", &mut |name, leaf| {
            if names_a_secret(name) {
                add(leaf, SECRET);
            } else if freedom(leaf) == Freedom::Any && !leaf.starts_with("http") {
                add(leaf, ENOUGH);
            }
        });
    }
    for setting in value.split([';', ' ', '\n']) {
        // `Server=…;Password=…`, `host=… password=…`, and lines of `DB_PASSWORD=…`.
        if let Some((key, secret)) = setting.split_once('=')
            && names_a_secret(key)
        {
            add(secret.trim().trim_matches(['"', '\'']), SECRET);
        }
    }
    for line in value.lines() {
        // `password = …` of a configuration file, `password: …`, and what has no telling name but looks like a secret.
        let Some((key, setting)) = line.split_once(['=', ':']) else { continue };
        let setting = setting.trim().trim_end_matches(',').trim_matches(['"', '\'']);
        if names_a_secret(key) {
            add(setting, SECRET);
        } else if value.contains('\n') && looks_random(setting) {
            add(setting, LINE);
        }
    }
    let after_host = value.split_once("://").and_then(|(_, rest)| rest.split_once(['/', '?']));
    for piece in after_host.map_or("", |(_, rest)| rest).split(['/', '?', '&', '#']) {
        // The token of a webhook, a key of a query: libraries show an address without its host when a request fails.
        let (key, setting) = piece.split_once('=').unwrap_or(("", piece));
        let least = if names_a_secret(key) { SECRET } else { LINE };
        if least == SECRET || looks_random(setting) {
            add(setting, least);
            add(&percent_decoded(setting), least);
        }
    }
    if !value.contains('\n') && value.contains("\\n") {
        // A key whose line ends are spelled out, so that it fits a line: whoever uses it undoes that first.
        let undone = Zeroizing::new(value.replace("\\r", "").replace("\\n", "\n"));
        add(&undone, ENOUGH);
        undone.lines().map(str::trim).filter(|line| !line.starts_with("-----")).for_each(|line| {
            if freedom(line) == Freedom::Any {
                add(line, LINE);
            }
        });
    }
    found
}

/// Whether it looks drawn by chance, and not like a name in an address or a file: digits among letters of both cases, or many
/// of them.
fn looks_random(text: &str) -> bool {
    let count = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
    let (digits, letters) = (count(u8::is_ascii_digit), count(u8::is_ascii_alphabetic));
    let both = text.bytes().any(|byte| byte.is_ascii_lowercase()) && text.bytes().any(|byte| byte.is_ascii_uppercase());
    !text.contains(char::is_whitespace)
        && freedom(text) == Freedom::Any
        && digits > 0
        && letters > 0
        && (both || digits * 5 >= letters)
}

/// Whether what is called so is likely a secret by itself.
fn names_a_secret(name: &str) -> bool {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase();
    SECRET_NAMES.iter().any(|end| name.ends_with(end))
}

fn enough(text: &str, least: usize) -> bool {
    squeezed_and_folded(text.as_bytes()).len() >= least
}

/// `user:password` of a URL.
fn userinfo(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // A password may have an `@` that nobody escaped, and even a slash: the last `@` of all is tried then.
    let (userinfo, _) = authority.rsplit_once('@').or_else(|| rest.rsplit_once('@'))?;
    Some(userinfo)
}

fn percent_decoded(text: &str) -> Zeroizing<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| byte == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    Zeroizing::new(String::from_utf8(bytes).unwrap_or_default())
}

/// Calls `each` with every string and what it is called.
fn leaves(tree: &serde_json::Value, name: &str, each: &mut impl FnMut(&str, &str)) {
    match tree {
        serde_json::Value::String(text) => each(name, text),
        serde_json::Value::Array(items) => items.iter().for_each(|item| leaves(item, name, each)),
        serde_json::Value::Object(members) => members.iter().for_each(|(name, item)| leaves(item, name, each)),
        _ => {}
    }
}

/// A long text in stretches of about equal length, a short one as it is.
fn stretches(text: Zeroizing<String>) -> Vec<Part> {
    let squeezed = squeezed_and_folded(text.as_bytes()).len();
    let free = freedom(&text);
    if squeezed <= STRETCH + STRETCH / 3 {
        return vec![Part { text, freedom: free, stretch: false }];
    }
    let stretches = squeezed.div_ceil(STRETCH).min(STRETCHES);
    let each = text.chars().count().div_ceil(stretches);
    let mut parts = Vec::with_capacity(stretches);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.char_indices().nth(each).map_or(rest.len(), |(at, _)| at);
        let (stretch, after) = rest.split_at(end);
        // A line of dashes or zeros inside a long value is nobody's secret.
        let bytes = squeezed_and_folded(stretch.as_bytes());
        if distinct(&bytes) >= 6 && bytes.len() >= LINE {
            parts.push(Part { text: Zeroizing::new(stretch.to_owned()), freedom: Freedom::Any, stretch: true });
        }
        rest = after;
    }
    if parts.is_empty() {
        parts.push(Part { text, freedom: Freedom::Exactly, stretch: false });
    }
    parts
}
