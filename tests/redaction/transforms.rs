//! The transforms of a secret that are tried, as Python spells them, and what is to become of each.

/// What becomes of a secret that a script shows in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing of it is left.
    Scrubbed,
    /// And the execution is marked as suspicious.
    Alarm,
    /// It gets through.
    Through,
}
use Verdict::{Alarm, Scrubbed, Through};

/// Name, a Python expression of `s` that makes a text, and the verdict.
pub(crate) const TRANSFORMS: &[(&str, &str, Verdict)] = &[
    ("as it is", "s", Scrubbed),
    ("in a sentence, a path, a URL", "f'/home/{s}/x?key={s}&y'", Scrubbed),
    ("upper case", "s.upper()", Scrubbed),
    ("lower case", "s.lower()", Scrubbed),
    ("JSON", "json.dumps({'key': s})", Scrubbed),
    ("JSON in JSON", "json.dumps(json.dumps({'key': s}))", Scrubbed),
    ("`repr` of it and of its bytes", "repr({'key': s}) + repr(s.encode())", Scrubbed),
    ("`html.escape`", "html.escape(s)", Scrubbed),
    ("`shlex.quote`", "shlex.quote(s)", Scrubbed),
    ("`urllib.parse.quote`", "urllib.parse.quote(s, safe='')", Scrubbed),
    ("percent, each character", "''.join('%%%02x' % c for c in s.encode())", Alarm),
    ("`\\x`, each character", "''.join('\\\\x%02x' % ord(c) for c in s)", Alarm),
    ("`\\u`, each character", "''.join('\\\\u%04x' % ord(c) for c in s)", Alarm),
    ("octal escapes", "''.join('\\\\%03o' % ord(c) for c in s)", Alarm),
    ("HTML references", "''.join('&#%d;' % ord(c) for c in s)", Alarm),
    ("reversed", "s[::-1]", Alarm),
    ("hex", "s.encode().hex()", Alarm),
    ("hex in upper case, with colons", "s.encode().hex(':').upper()", Alarm),
    ("list of `0x` numbers", "str([hex(c) for c in s.encode()])", Alarm),
    ("list of character codes", "str(list(s.encode()))", Alarm),
    ("list of character codes, a space after each digit", "' '.join(str(list(s.encode())))", Alarm),
    ("character codes on lines", "'\\n'.join(str(ord(c)) for c in s)", Alarm),
    ("binary", "' '.join(format(c, '08b') for c in s.encode())", Alarm),
    ("base64", "b64(s)", Alarm),
    ("base64url", "base64.urlsafe_b64encode(s.encode()).decode().rstrip('=')", Alarm),
    ("base64, text before and after", "' '.join(b64('x' * n + s + 'yz') for n in range(3))", Alarm),
    (
        "base64, wrapped at 1, 5 and 76",
        "'\\n'.join('\\n'.join(textwrap.wrap(b64(s), n)) + '!' for n in (1, 5, 76))",
        Alarm,
    ),
    ("base64 of UTF-16", "b64(s.encode('utf-16-le')) + ' ' + b64(s.encode('utf-16-be'))", Alarm),
    ("base64, reversed", "b64(s)[::-1]", Alarm),
    ("HTTP basic authentication", "'Authorization: Basic ' + b64('user:' + s)", Alarm),
    ("base32", "base64.b32encode(s.encode()).decode()", Alarm),
    ("base32, text before", "' '.join(base64.b32encode(b'x' * n + s.encode()).decode() for n in range(5))", Alarm),
    ("base32, reversed", "base64.b32encode(s.encode()).decode()[::-1]", Alarm),
    (
        "base85 and Ascii85",
        "base64.b85encode(s.encode()).decode() + ' ' + base64.a85encode(s.encode()).decode()",
        Alarm,
    ),
    ("spaces between", "' '.join(s)", Alarm),
    ("dashes between, in upper case", "'-'.join(s.upper())", Alarm),
    ("list of its characters", "str(list(s))", Alarm),
    ("a line for each character", "'\\n'.join(s)", Alarm),
    ("invisible characters between", "'\\u200b'.join(s)", Alarm),
    ("two halves on two lines", "s[:9] + '\\n' + s[9:]", Alarm),
    ("hex of UTF-16", "s.encode('utf-16').hex()", Alarm),
    ("base64 in base64", "b64(b64(s))", Alarm),
    ("base64, three deep", "b64('a ' + b64('b ' + b64('c ' + s)))", Alarm),
    ("hex in base64, base64 in hex", "b64(s.encode().hex()) + ' ' + b64(s).encode().hex()", Alarm),
    (
        "base64 in base64, wrapped at 1, 7 and 76",
        "'\\n'.join('\\n'.join(textwrap.wrap(b64(b64(s)), n)) + '!' for n in (1, 7, 76))",
        Alarm,
    ),
    (
        "base32 in base64, base64 in base32",
        "b64(base64.b32encode(s.encode())) + ' ' + base64.b32encode(b64(s).encode()).decode()",
        Alarm,
    ),
    (
        "codes in base64, codes in hex",
        "b64('x' + str(list(s.encode()))[1:]) + ' ' + str(list(s.encode())).encode().hex()",
        Alarm,
    ),
    ("JSON in base64", "b64(json.dumps({'user': 'root', 'key': s}))", Alarm),
    ("base64 in percent escapes", "urllib.parse.quote(b64(s + '>>>???'), safe='')", Alarm),
    ("reversed, in base64", "b64(s[::-1])", Alarm),
    ("codes of base64", "str(list(b64(s).encode()))", Alarm),
    ("gzip in base64", "b64(gzip.compress(s.encode(), mtime=0))", Alarm),
    ("zlib in base64, in hex", "b64(zlib.compress(s.encode())) + ' ' + zlib.compress(s.encode()).hex()", Alarm),
    ("base64 in gzip in base64", "b64(gzip.compress(b64(s).encode(), mtime=0))", Alarm),
    ("codes of gzip", "str(list(gzip.compress(s.encode(), mtime=0)))", Alarm),
    (
        "codes of zlib, after codes of other zlib",
        "str([*zlib.compress(b'nothing'), *zlib.compress(s.encode())])",
        Alarm,
    ),
    ("half of it", "s[: len(s) // 2]", Through),
    ("its halves, the second first", "s[9:] + ' ' + s[:9]", Through),
    ("its characters with a letter between", "'x'.join(s)", Through),
    ("its characters, numbered", "'\\n'.join(f'{n}: {c}' for n, c in enumerate(s))", Through),
    ("rot13", "codecs.encode(s, 'rot13')", Through),
    ("xor with a constant, in hex", "bytes(c ^ 42 for c in s.encode()).hex()", Through),
    ("one large number", "str(int.from_bytes(s.encode(), 'big'))", Through),
    ("base64, five deep", "b64(b64(b64(b64(b64(s)))))", Through),
    ("base64 in base64, in lower case", "b64(b64(s)).lower()", Through),
    ("list of character codes, backwards", "str(list(s.encode()))[::-1]", Through),
    (
        "base64 with an alphabet of its own",
        "b64(s).translate(str.maketrans(string.ascii_letters, string.ascii_letters[1:] + 'a'))",
        Through,
    ),
    ("bzip2 or LZMA in base64", "b64(bz2.compress(s.encode()))", Through),
    ("deflate without a header, in base64", "b64(zlib.compress(s.encode(), wbits=-15))", Through),
    ("uuencode", "binascii.b2a_uu(s.encode()).decode().strip()", Through),
    (
        "encryption, or one bit at a time by what a script does",
        "''.join(chr(97 + (ord(c) * 7 + n) % 26) for n, c in enumerate(s))",
        Through,
    ),
];

/// A script that makes the text and hands it to `show`.
pub(crate) fn script(expression: &str, show: &str) -> String {
    format!(
        "import base64, binascii, bz2, codecs, gzip, html, json, shlex, string, sys, textwrap, urllib.parse, zlib\n\
         def b64(x):\n    return base64.b64encode(x.encode() if isinstance(x, str) else x).decode()\n\
         s = settings['KEY']\nx = {expression}\n{show}\n"
    )
}
