//! Text in a few rows of the terminal that are drawn over and over and then taken away: a thought while it is thought.
//!
//! It gives the bytes to write; the cursor is left at the end of the last row. Must not know: where they are written.

use unicode_width::UnicodeWidthChar;

/// What every row begins with.
const EDGE: &str = "\u{2502} ";
const EDGE_WIDTH: usize = 2;
/// Narrower than this nothing can be read.
const LEAST_WIDTH: usize = 16;

/// Rows that show the end of a text.
#[derive(Clone, Debug)]
pub struct Live {
    /// Columns of text in a row.
    width: usize,
    /// Rows at most.
    height: usize,
    /// The last rows of the text.
    rows: Vec<String>,
    /// Columns that the last of them takes.
    column: usize,
    /// Rows on the screen; none: nothing is there.
    drawn: usize,
}

impl Live {
    /// For a terminal of so many columns and rows.
    pub fn new(columns: usize, rows: usize) -> Live {
        Live {
            // The last column stays free: some terminals go to the next row when it is filled, others do not.
            width: columns.saturating_sub(EDGE_WIDTH + 1).max(LEAST_WIDTH),
            height: (rows / 3).clamp(2, 10),
            rows: vec![String::new()],
            column: 0,
            drawn: 0,
        }
    }

    /// What to write when `text` is added.
    pub fn push(&mut self, text: &str) -> String {
        let mut added = 0;
        let length = self.rows.last().map_or(0, String::len);
        let mut rewritten = false;
        for c in text.chars() {
            match self.add(c) {
                Added::Here => {}
                Added::Row => added += 1,
                Added::MovedWord => (added, rewritten) = (added + 1, true),
            }
        }
        // The usual case: the last row has grown.
        if added == 0 && self.drawn > 0 {
            return self
                .rows
                .last()
                .map_or_else(String::new, |row| row[length..].to_owned());
        }
        if added > 0 && !rewritten && self.drawn + added <= self.height {
            return self.append(added, length);
        }
        self.redraw()
    }

    /// What to write to take it away.
    pub fn clear(&mut self) -> String {
        let up = std::mem::take(&mut self.drawn);
        match up {
            0 => String::new(),
            _ => home(up),
        }
    }

    /// Adds a character to the rows.
    fn add(&mut self, c: char) -> Added {
        if c == '\n' {
            // Empty lines only cost room.
            if self.column == 0 {
                return Added::Here;
            }
            return self.new_row(String::new());
        }
        let width = c.width().unwrap_or(0);
        let mut added = Added::Here;
        if self.column + width > self.width {
            if c.is_whitespace() {
                return self.new_row(String::new());
            }
            let word = self.cut_last_word();
            added = match word.is_empty() {
                true => self.new_row(word),
                false => {
                    self.new_row(word);
                    Added::MovedWord
                }
            };
        }
        let is_leading_space = c.is_whitespace() && self.column == 0;
        if let Some(row) = self.rows.last_mut().filter(|_| !is_leading_space) {
            row.push(if c.is_whitespace() { ' ' } else { c });
            self.column += width;
        }
        added
    }

    /// Takes the word the last row ends with, if there is more in the row than that.
    fn cut_last_word(&mut self) -> String {
        let Some(row) = self.rows.last_mut() else {
            return String::new();
        };
        match row.rfind(' ') {
            Some(space) => row.split_off(space + 1),
            None => String::new(),
        }
    }

    fn new_row(&mut self, text: String) -> Added {
        self.column = text.chars().filter_map(UnicodeWidthChar::width).sum();
        self.rows.push(text);
        if self.rows.len() > self.height {
            self.rows.remove(0);
        }
        Added::Row
    }

    /// The last row's new end, and `added` rows below it.
    fn append(&mut self, added: usize, length: usize) -> String {
        if self.drawn == 0 {
            return self.redraw();
        }
        let first = self.rows.len() - 1 - added;
        let mut out = self.rows[first][length..].to_owned();
        for row in &self.rows[first + 1..] {
            out.push_str("\r\n");
            out.push_str(EDGE);
            out.push_str(row);
        }
        self.drawn += added;
        out
    }

    fn redraw(&mut self) -> String {
        let mut out = match self.drawn {
            0 => String::new(),
            up => home(up),
        };
        let rows: Vec<String> = self.rows.iter().map(|row| format!("{EDGE}{row}")).collect();
        out.push_str(&rows.join("\r\n"));
        self.drawn = rows.len();
        out
    }
}

/// What a character did to the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Added {
    Here,
    Row,
    MovedWord,
}

/// To the beginning of the first of `rows` rows, and nothing below it.
fn home(rows: usize) -> String {
    match rows {
        1 => "\r\x1b[J".to_owned(),
        _ => format!("\r\x1b[{}A\x1b[J", rows - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A terminal of 24 rows that has seen these bytes.
    fn seen(columns: u16, bytes: &str) -> Vec<String> {
        let mut terminal = vt100::Parser::new(24, columns, 0);
        terminal.process(bytes.as_bytes());
        let rows = terminal.screen().rows(0, columns);
        rows.map(|row| row.trim_end().to_owned()).collect()
    }

    #[test]
    fn a_thought_grows_row_by_row() {
        let mut live = Live::new(24, 24);
        let mut bytes = String::from("before\r\n");
        for piece in ["The quick ", "brown fox", " jumps over", "\n\nthe lazy dog"] {
            bytes.push_str(&live.push(piece));
        }
        let rows = seen(24, &bytes);
        assert_eq!(
            rows[..4],
            [
                "before",
                "│ The quick brown fox",
                "│ jumps over",
                "│ the lazy dog"
            ]
        );
        bytes.push_str(&live.clear());
        bytes.push_str("folded");
        assert_eq!(seen(24, &bytes)[..3], ["before", "folded", ""]);
        assert_eq!(live.clear(), "");
    }

    #[test]
    fn what_only_grows_is_not_drawn_again() {
        let mut live = Live::new(80, 24);
        live.push("so");
        assert_eq!(live.push(" it"), " it");
        assert_eq!(live.push(" goes"), " goes");
    }

    #[test]
    fn a_long_thought_keeps_to_its_rows() {
        let mut live = Live::new(40, 24);
        let mut bytes = String::from("before\r\n");
        for i in 0..1000 {
            bytes.push_str(&live.push(&format!("thought {i} ")));
        }
        let rows = seen(40, &bytes);
        assert_eq!(rows[0], "before");
        assert!(rows[8].ends_with("thought 999"), "{rows:?}");
        assert!(rows[9..].iter().all(String::is_empty), "{rows:?}");
    }

    proptest! {
        /// Whatever is thought, in whatever pieces: the rows above stay, and the last words are there.
        #[test]
        fn the_screen_above_is_never_touched(
            pieces in proptest::collection::vec("[a-f ]{0,9}\n?|漢字 |é", 1..60), columns in 20u16..60
        ) {
            let mut live = Live::new(usize::from(columns), 24);
            let mut bytes = String::from("one\r\ntwo\r\n");
            for piece in &pieces {
                bytes.push_str(&live.push(piece));
            }
            let rows = seen(columns, &bytes);
            prop_assert_eq!(&rows[..2], ["one", "two"]);
            let shown: Vec<String> = live.rows.iter().map(|row| format!("│ {row}").trim_end().to_owned()).collect();
            prop_assert_eq!(&rows[2..2 + shown.len()], &shown[..]);
            bytes.push_str(&live.clear());
            let rows = seen(columns, &bytes);
            prop_assert!(rows[2..].iter().all(String::is_empty), "{:?}", rows);
        }
    }
}
