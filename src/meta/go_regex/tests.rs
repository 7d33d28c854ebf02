//! Patterns against what Go makes of them.

use super::compile;

#[test]
fn patterns_match_as_in_go() {
    for (pattern, text, matches) in [
        (r"^\d+$", "٣", false),
        (r"^\w+$", "é", false),
        (r"^\s$", "\u{b}", false),
        (r"^\bé", "é", false),
        (r"^[[a]$", "[", true),
        (r"^[a&&b]$", "&", true),
        (r"^a{,3}$", "a{,3}", true),
        (r"^[]a]+$", "]a", true),
        (r"^[\d-z]+$", "5-z", true),
        (r"^\Q.*\E$", ".*", true),
        (r"^\x{41}\101\x42$", "AAB", true),
        (r"(?<name>a)(?P<1>b)", "ab", true),
        (r"^[^[:alpha:]\pN]$", "-", true),
        (r"^\p{^Greek}$", "α", false),
        (r"(?i:A)(?-i)b", "ab", true),
        ("(?m)^b$", "a\nb", true),
        ("^.$", "\n", false),
    ] {
        let found = compile(pattern).unwrap().is_match(text);
        assert_eq!(found, matches, "{pattern} {text:?}");
    }
}

#[test]
fn patterns_are_refused_in_the_words_of_go() {
    for (pattern, why) in [
        ("(a", "missing closing ): `(a`"),
        ("a)b", "unexpected ): `a)b`"),
        ("[a", "missing closing ]: `[a`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"\p{Foo}", r"invalid character class range: `\p{Foo}`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*?+", "invalid nested repetition operator: `*?+`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("(|*)", "missing argument to repetition operator: `*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("((a{100}){20})", "invalid repeat count: `{20}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?P<n-a>b)", "invalid named capture: `(?P<n-a>`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"a\", "trailing backslash at end of expression: ``"),
    ] {
        let wanted = format!("error parsing regexp: {why}");
        assert_eq!(compile(pattern).unwrap_err(), wanted);
    }
}
