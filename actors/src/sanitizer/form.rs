//! In what form a value was found.

/// The forms, from the most innocent to the most laboured: of two that explain the same bytes the first is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Form {
    /// As it is.
    Literal,
    /// In other upper and lower case.
    Case,
    /// With the escapes that JSON, Python, HTML, a shell or a URL need.
    Escaped,
    /// Something between its characters, line ends among it.
    Separated,
    /// Backwards.
    Reversed,
    /// Hexadecimal, also with a prefix or separator for each byte.
    Hex,
    /// Base32 or base32hex, at any of five alignments.
    Base32,
    /// Base64 or base64url, at any of three alignments.
    Base64,
    /// Ascii85 or base85, at any of four alignments.
    Base85,
    /// Decimal, octal or binary numbers.
    Integers,
    /// UTF-16, in hexadecimal or base64.
    Utf16,
    /// In something encoded that had to be decoded to find it.
    Nested,
    /// In gzip or zlib data.
    Compressed,
}

impl Form {
    /// As it is stored and shown.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Case => "case",
            Self::Escaped => "escaped",
            Self::Separated => "separated",
            Self::Reversed => "reversed",
            Self::Hex => "hex",
            Self::Base32 => "base32",
            Self::Base64 => "base64",
            Self::Base85 => "base85",
            Self::Integers => "integers",
            Self::Utf16 => "utf16",
            Self::Nested => "nested",
            Self::Compressed => "compressed",
        }
    }

    /// Whether careless code does not explain it: a `print`, a log of a URL or of a record in JSON, a name in lower case.
    pub(super) fn is_suspicious(self) -> bool {
        self > Self::Escaped
    }

    /// The form of what has this form inside something that was decoded.
    pub(super) fn inside(self, outer: Self) -> Self {
        match (outer, self) {
            (Self::Escaped, Self::Literal | Self::Case) => Self::Escaped,
            (Self::Escaped, inner) => inner,
            (Self::Compressed, _) | (_, Self::Compressed) => Self::Compressed,
            _ => Self::Nested,
        }
    }
}
