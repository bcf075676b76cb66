//! How a text looks in each form that needs no decoding to be found. Only what stays the same whatever stands before and
//! after the text: of an encoding that packs bits, the characters that lie inside it as a whole.

use zeroize::Zeroizing;

use super::form::Form;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE32_HEX: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
const BASE85: &[u8; 85] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// Calls `each` with every form of `text` and how it looks in it.
pub(super) fn all(text: &str, each: &mut impl FnMut(Form, &[u8])) {
    escapes(text, each);
    each(Form::Case, text.to_uppercase().as_bytes());
    each(Form::Case, text.to_lowercase().as_bytes());
    let reversed: String = text.chars().rev().collect();
    each(Form::Reversed, reversed.as_bytes());
    numbers(text.as_bytes(), each);
    // The bytes of UTF-16, little-endian without the last zero: big-endian has the same ones, one further on.
    let mut utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    if utf16.last() == Some(&0) {
        utf16.pop();
    }
    each(Form::Utf16, hex(&utf16).as_bytes());
    for skip in 0..3 {
        each(Form::Utf16, &packed(&utf16, 6, 3, skip, BASE64));
        let inner = packed(text.as_bytes(), 6, 3, skip, BASE64);
        each(Form::Base64, &inner);
        each(Form::Base64, &packed(text.as_bytes(), 6, 3, skip, BASE64_URL));
        each(Form::Reversed, &inner.into_iter().rev().collect::<Vec<u8>>());
        each(Form::Reversed, &packed(reversed.as_bytes(), 6, 3, skip, BASE64));
    }
    for skip in 0..5 {
        each(Form::Base32, &packed(text.as_bytes(), 5, 5, skip, BASE32));
        each(Form::Base32, &packed(text.as_bytes(), 5, 5, skip, BASE32_HEX));
    }
    latin(text, each);
    for skip in 0..4 {
        let groups = text.as_bytes().get(skip..).unwrap_or_default();
        each(Form::Base85, &base85(groups, |digit| BASE85.get(digit).copied().unwrap_or_default()));
        each(Form::Base85, &base85(groups, |digit| digit as u8 + b'!'));
    }
}

/// The text as it is, and with what languages put in the place of characters that mean something to them.
fn escapes(text: &str, each: &mut impl FnMut(Form, &[u8])) {
    each(Form::Literal, text.as_bytes());
    let mut spelled = |spell: &dyn Fn(char, &mut String)| {
        let mut out = String::with_capacity(text.len() * 2);
        text.chars().for_each(|character| spell(character, &mut out));
        each(Form::Escaped, out.as_bytes());
    };
    spelled(&|character, out| json(character, false, out));
    spelled(&|character, out| json(character, true, out));
    spelled(&python);
    spelled(&|character, out| {
        bytes_of(character, out, |byte| match byte {
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
    });
    for quote in ["&#x27;", "&#39;", "&apos;"] {
        spelled(&|character, out| match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str(quote),
            _ => out.push(character),
        });
    }
    // Quoted-printable, in the body of a mail and in its head (RFC 2045, 6.7; RFC 2047, 4.2).
    spelled(&|character, out| {
        bytes_of(character, out, |byte| match byte {
            b'=' => "=3D".to_owned(),
            b' '..=b'~' | b'\t' | b'\r' | b'\n' => char::from(byte).to_string(),
            _ => format!("={byte:02X}"),
        })
    });
    spelled(&|character, out| {
        bytes_of(character, out, |byte| match byte {
            b'!' | b'*' | b'+' | b'-' | b'/' | b' ' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("={byte:02X}"),
        })
    });
    for plain in ["-._~", "-._~/", "-_.!~*'()", " -._~", " -._~/"] {
        spelled(&|character, out| {
            bytes_of(character, out, |byte| {
                if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
        });
    }
}

/// As bytes of Latin-1, where that is another encoding: HTTP libraries write a name and password so.
fn latin(text: &str, each: &mut impl FnMut(Form, &[u8])) {
    let bytes: Result<Vec<u8>, _> = text.chars().map(|character| u8::try_from(u32::from(character))).collect();
    let Ok(bytes) = bytes.map(Zeroizing::new) else { return };
    if text.is_ascii() {
        return;
    }
    each(Form::Hex, hex(&bytes).as_bytes());
    for skip in 0..3 {
        each(Form::Base64, &packed(&bytes, 6, 3, skip, BASE64));
        each(Form::Base64, &packed(&bytes, 6, 3, skip, BASE64_URL));
    }
    let percent = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    each(Form::Escaped, bytes.iter().map(percent).collect::<String>().as_bytes());
}

fn json(character: char, ascii: bool, out: &mut String) {
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        _ if character < ' ' || character > '~' && ascii => {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
        _ => out.push(character),
    }
}

/// As Python's `ascii` does.
fn python(character: char, out: &mut String) {
    match character {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        ' '..='~' => out.push(character),
        _ if u32::from(character) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(character))),
        _ if u32::from(character) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(character))),
        _ => out.push_str(&format!("\\U{:08x}", u32::from(character))),
    }
}

fn bytes_of(character: char, out: &mut String, spell: impl Fn(u8) -> String) {
    let mut utf8 = [0; 4];
    for byte in character.encode_utf8(&mut utf8).bytes() {
        out.push_str(&spell(byte));
    }
}

/// Each byte as a number: what stands between the numbers is left out later.
fn numbers(bytes: &[u8], each: &mut impl FnMut(Form, &[u8])) {
    let spelled = |spell: fn(&u8) -> String| bytes.iter().map(spell).collect::<Vec<String>>().join(" ");
    let hexadecimal = hex(bytes);
    each(Form::Hex, hexadecimal.as_bytes());
    each(Form::Reversed, &hexadecimal.bytes().rev().collect::<Vec<u8>>());
    let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
    each(Form::Reversed, hex(&backwards).as_bytes());
    each(Form::Hex, spelled(|byte| format!("\\x{byte:02x}")).as_bytes());
    each(Form::Hex, spelled(|byte| format!("0x{byte:x}")).as_bytes());
    each(Form::Hex, spelled(|byte| format!("\\u00{byte:02x}")).as_bytes());
    each(Form::Hex, spelled(|byte| format!("\\U000000{byte:02x}")).as_bytes());
    each(Form::Integers, spelled(|byte| byte.to_string()).as_bytes());
    each(Form::Integers, spelled(|byte| format!("{byte:03}")).as_bytes());
    each(Form::Integers, spelled(|byte| format!("{byte:o}")).as_bytes());
    each(Form::Integers, spelled(|byte| format!("{byte:03o}")).as_bytes());
    each(Form::Integers, spelled(|byte| format!("0o{byte:o}")).as_bytes());
    each(Form::Integers, spelled(|byte| format!("{byte:08b}")).as_bytes());
    each(Form::Integers, spelled(|byte| format!("{byte:b}")).as_bytes());
    each(Form::Integers, spelled(|byte| format!("0b{byte:b}")).as_bytes());
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The characters of `bits` bits each that lie inside `bytes`, when `before` bytes of a group of `group` come before it.
fn packed(bytes: &[u8], bits: usize, group: usize, before: usize, alphabet: &[u8]) -> Vec<u8> {
    debug_assert!(before < group, "a group has so many alignments");
    let mut to_skip = (before * 8).div_ceil(bits) * bits - before * 8;
    let (mut held, mut waiting) = (0usize, 0usize);
    let mut characters = Vec::with_capacity(bytes.len() * 8 / bits);
    for &byte in bytes {
        (held, waiting) = (held << 8 | usize::from(byte), waiting + 8);
        if to_skip > 0 {
            let skipped = to_skip.min(waiting);
            (to_skip, waiting) = (to_skip - skipped, waiting - skipped);
            held &= (1 << waiting) - 1;
        }
        while waiting >= bits && to_skip == 0 {
            waiting -= bits;
            characters.extend(alphabet.get(held >> waiting));
            held &= (1 << waiting) - 1;
        }
    }
    characters
}

/// Whole groups of four bytes only.
fn base85(bytes: &[u8], digit: impl Fn(usize) -> u8) -> Vec<u8> {
    let (groups, _) = bytes.as_chunks::<4>();
    let spell = |group: &[u8; 4]| {
        let number = u32::from_be_bytes(*group) as usize;
        [52_200_625, 614_125, 7_225, 85, 1].map(|place| digit(number / place % 85))
    };
    groups.iter().flat_map(spell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(bytes: &[u8], bits: usize, group: usize, before: usize, alphabet: &[u8]) -> String {
        String::from_utf8(packed(bytes, bits, group, before, alphabet)).unwrap()
    }

    #[test]
    fn base64_keeps_what_its_neighbours_do_not_touch() {
        // `base64.b64encode(b"xhunter2y")` and so on, in Python: aHVudGVyMg==, eGh1bnRlcjJ5, eHhodW50ZXIyeXk=
        assert_eq!(inner(b"hunter2", 6, 3, 0, BASE64), "aHVudGVyM");
        assert_eq!(inner(b"hunter2", 6, 3, 1, BASE64), "h1bnRlcj");
        assert_eq!(inner(b"hunter2", 6, 3, 2, BASE64), "odW50ZXIy");
        assert_eq!(inner(b"\xff\xfe\xfd", 6, 3, 0, BASE64_URL), "__79");
    }

    #[test]
    fn base32_and_base85_too() {
        // `base64.b32encode(b"hunter2")`: NB2W45DFOIZA====
        assert_eq!(inner(b"hunter2", 5, 5, 0, BASE32), "NB2W45DFOIZ");
        // `base64.b85encode(b"hunter22")` and `base64.a85encode`.
        assert_eq!(base85(b"hunter22", |digit| BASE85[digit]), b"XmxIMWpXky");
        assert_eq!(base85(b"hunter22", |digit| digit as u8 + b'!'), b"BQ\\37ATBO]");
    }
}
