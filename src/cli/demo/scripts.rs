//! The scripts, and what they must come to.

/// The credential's name.
pub(super) const NAME: &str = "SHOP_KEY";
/// What stands where a value was.
pub(super) const REDACTED: &str = "[REDACTED]";

/// Uses the value, and shows it by mistake: once in the output, once in the result.
pub(super) const ORDER: &str = r#"import hashlib, hmac

key = settings["SHOP_KEY"]
order = "3 x coffee at 1990 cents"
seal = hmac.new(key.encode(), order.encode(), hashlib.sha256).hexdigest()

print("sealing with", key)  # a mistake
set_result({"order": order, "cents": 3 * 1990, "seal": seal, "key": key})  # again
"#;
/// What [`ORDER`] seals, with the value as the key.
pub(super) const ORDER_TEXT: &str = "3 x coffee at 1990 cents";
pub(super) const ORDER_CENTS: u64 = 5970;
pub(super) const ORDER_STDOUT: &str = "sealing with [REDACTED]\n";
/// What was redacted in [`ORDER`]: field and count.
pub(super) const ORDER_REDACTIONS: [(&str, u64); 2] = [("stdout", 1), ("result", 1)];

/// What somebody without the profile's secret would add to [`ORDER`].
pub(super) const ADDED: &str = "print(settings[\"SHOP_KEY\"][::-1])\n";

/// Fails, with the value in the exception's words.
pub(super) const REFUSED: &str = r#"def pay(cents):
    raise ConnectionError("the shop refused " + settings["SHOP_KEY"])

pay(5970)
"#;
pub(super) const REFUSED_ERROR: &str = "ConnectionError: the shop refused [REDACTED] (line 2)";
/// Where [`REFUSED`] was, innermost last. Every other line with a file would be one of the runtime's.
pub(super) const REFUSED_FRAMES: [&str; 2] =
    ["File \"<script>\", line 4, in <module>", "File \"<script>\", line 2, in pay"];

/// The lines of a traceback that name a file.
pub(super) fn frames(traceback: &str) -> Vec<&str> {
    traceback.lines().map(str::trim).filter(|line| line.starts_with("File ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_do_what_is_said_of_them() {
        for script in [ORDER, ADDED, REFUSED] {
            assert!(script.contains(&format!("settings[\"{NAME}\"]")), "{script}");
        }
        assert!(ORDER.contains(ORDER_TEXT) && ORDER_STDOUT.contains(REDACTED) && REFUSED_ERROR.contains(REDACTED));
        assert!(
            REFUSED.lines().nth(1).unwrap().contains("raise") && REFUSED.lines().nth(3).unwrap().starts_with("pay")
        );
    }

    #[test]
    fn frames_are_the_lines_that_name_a_file() {
        let traceback =
            "Traceback:\n  File \"<script>\", line 4, in <module>\n    pay(1)\n  File \"/x\", line 1\nE: File\n";
        assert_eq!(frames(traceback), ["File \"<script>\", line 4, in <module>", "File \"/x\", line 1"]);
    }
}
