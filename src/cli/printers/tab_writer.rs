//! Columns of text, padded as Go's `text/tabwriter` pads them: a tab ends a cell, a column is as
//! wide as its widest cell in neighbouring lines, what follows the last tab of a line is no column.
//! Must not know what the columns say.

/// How columns are padded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TabWriter {
    /// The least width of a column, padding included.
    min_width: usize,
    /// Spaces after the widest cell.
    padding: usize,
}

/// Tables of `get` and its like. Kubernetes: `printers.GetNewTabWriter`.
pub(crate) const TABLE: TabWriter = TabWriter {
    min_width: 6,
    padding: 3,
};

/// Text of `describe`. Kubernetes: kubectl's `tabbedString`.
pub(crate) const DESCRIBE: TabWriter = TabWriter {
    min_width: 0,
    padding: 2,
};

impl TabWriter {
    /// `text` with its tabs turned into spaces.
    pub(crate) fn pad(self, text: &str) -> String {
        self.render(text, None)
    }

    /// Like `pad`; columns are at least as wide as `widths`, which learns what they have become.
    pub(crate) fn pad_after(self, text: &str, widths: &mut Vec<usize>) -> String {
        self.render(text, Some(widths))
    }

    fn render(self, text: &str, widths: Option<&mut Vec<usize>>) -> String {
        let lines: Vec<Vec<&str>> = text
            .split_inclusive('\n')
            .map(|line| line.trim_end_matches('\n').split('\t').collect())
            .collect();
        let mut padded: Vec<Vec<usize>> = vec![Vec::new(); lines.len()];
        self.column(&lines, &mut padded, 0, 0, lines.len(), widths);
        let mut out = String::with_capacity(text.len() * 2);
        for (line, widths) in lines.iter().zip(&padded) {
            for (number, cell) in line.iter().enumerate() {
                out.push_str(cell);
                if let Some(width) = widths.get(number) {
                    let length = cell.chars().count();
                    out.extend(std::iter::repeat_n(' ', width.saturating_sub(length)));
                }
            }
            out.push('\n');
        }
        if !text.ends_with('\n') {
            out.pop();
        }
        out
    }

    /// Gives the lines `from..to` the width of their column `number`, block by block, and within
    /// each block those of the columns that follow.
    fn column(
        self,
        lines: &[Vec<&str>],
        padded: &mut [Vec<usize>],
        number: usize,
        from: usize,
        to: usize,
        mut remembered: Option<&mut Vec<usize>>,
    ) {
        let has = |at: usize| lines.get(at).is_some_and(|line| number + 1 < line.len());
        let mut at = from;
        while at < to {
            if !has(at) {
                at += 1;
                continue;
            }
            let end = (at..to).find(|next| !has(*next)).unwrap_or(to);
            let block = lines.get(at..end).unwrap_or_default();
            let widest = block
                .iter()
                .filter_map(|line| line.get(number))
                .map(|cell| cell.chars().count() + self.padding)
                .max()
                .unwrap_or(0);
            let mut width = widest.max(self.min_width);
            if let Some(widths) = remembered.as_deref_mut() {
                widths.resize(widths.len().max(number + 1), 0);
                if let Some(slot) = widths.get_mut(number) {
                    width = width.max(*slot);
                    *slot = width;
                }
            }
            for line in padded.get_mut(at..end).into_iter().flatten() {
                line.push(width);
            }
            let right = remembered.as_deref_mut();
            self.column(lines, padded, number + 1, at, end, right);
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_lines_have_widths_of_their_own() {
        let text = "Name:\ta\nLabels:\t<none>\nIPs:\n  IP:\t1\nlonger name:\tx\n";
        assert_eq!(
            DESCRIBE.pad(text),
            "Name:    a\nLabels:  <none>\nIPs:\n  IP:         1\nlonger name:  x\n"
        );
        assert_eq!(
            TABLE.pad("A\tB\tC\n1\t\t\n"),
            "A     B     C\n1           \n"
        );
    }
}
