//! Text in lines of a width, broken at spaces. Must not know what it says.
//! Kubernetes: kubectl breaks lines with `go-wordwrap`; lengths are in bytes.

/// Breaks `text` before words that would end beyond `width`; a word that is longer is kept.
pub(super) fn wrap(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut word, mut space) = (String::new(), String::new());
    // How much of the line is written.
    let mut used = 0;
    for c in text.chars() {
        if c == '\n' {
            if !word.is_empty() || used + space.len() <= width {
                out.push_str(&space);
            }
            out.push_str(&word);
            out.push('\n');
            word.clear();
            space.clear();
            used = 0;
        } else if c.is_whitespace() {
            if space.is_empty() || !word.is_empty() {
                used += space.len() + word.len();
                out.push_str(&space);
                out.push_str(&word);
                space.clear();
                word.clear();
            }
            space.push(c);
        } else {
            word.push(c);
            if used + space.len() + word.len() > width && word.len() < width {
                out.push('\n');
                space.clear();
                used = 0;
            }
        }
    }
    if !word.is_empty() || used + space.len() <= width {
        out.push_str(&space);
    }
    out.push_str(&word);
    out
}

/// With `amount` spaces before each line, empty ones too.
pub(super) fn indent(text: &str, amount: usize) -> String {
    let pad = " ".repeat(amount);
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("aa bb cc", 5), "aa bb\ncc");
        assert_eq!(wrap("aa bb", 2), "aa\nbb");
        assert_eq!(wrap("longer than", 3), "longer\nthan");
        assert_eq!(wrap("aa  \nbb\n", 3), "aa\nbb\n");
        assert_eq!(wrap("a\n\nb", 9), "a\n\nb");
        assert_eq!(indent("a\n\nb", 2), "  a\n  \n  b");
    }
}
