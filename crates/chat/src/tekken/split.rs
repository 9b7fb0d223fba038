//! Cutting text into the pieces that are merged on their own: Tekken's splitting pattern by hand.
//!
//! The pattern has a look-ahead, which the linear-time `regex` crate refuses and backtracking engines pay for on
//! hostile text. Written out, every piece costs time linear in its length. Must not know: tokens.
//!
//! The pattern, alternatives in this order (`U` = Lu Lt Lm Lo M, `W` = Ll Lm Lo M):
//! ```text
//! 1  [^\r\n L N]? U* W+          4   ?[^\s L N]+ [\r\n/]*        6  \s+(?!\S)
//! 2  [^\r\n L N]? U+ W*          5  \s* [\r\n]+                  7  \s+
//! 3  N
//! ```

use super::unicode::RUNS;

/// The splitting pattern of every Tekken file known; another one is refused when the file is read.
pub(super) const PATTERN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// A character's class, in the order of the generated table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Anything else: punctuation, symbols, controls, unassigned.
    Other,
    /// Lu, Lt.
    Upper,
    /// Ll.
    Lower,
    /// Lm, Lo.
    Letter,
    /// M.
    Mark,
    /// N.
    Number,
    /// White space but for the two below.
    Space,
    /// `\r`, `\n`.
    Newline,
}

impl Class {
    const ALL: [Self; 8] = [
        Self::Other,
        Self::Upper,
        Self::Lower,
        Self::Letter,
        Self::Mark,
        Self::Number,
        Self::Space,
        Self::Newline,
    ];

    /// In `U` of the pattern.
    fn in_upper(self) -> bool {
        matches!(self, Self::Upper | Self::Letter | Self::Mark)
    }

    /// In `W` of the pattern.
    fn in_lower(self) -> bool {
        matches!(self, Self::Lower | Self::Letter | Self::Mark)
    }

    /// `[^\r\n L N]`: may open a word.
    fn may_open_word(self) -> bool {
        matches!(self, Self::Other | Self::Mark | Self::Space)
    }

    /// `[^\s L N]`.
    fn is_symbol(self) -> bool {
        matches!(self, Self::Other | Self::Mark)
    }

    fn is_space(self) -> bool {
        matches!(self, Self::Space | Self::Newline)
    }
}

/// How many characters share a row of the class table.
const ROW: usize = 256;

/// The class of every character: rows of 256, equal rows kept once.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    row_of: Vec<u16>,
    rows: Vec<[Class; ROW]>,
}

impl Classes {
    /// Spreads the generated runs out into rows.
    pub(super) fn new() -> Self {
        let mut row_of = Vec::new();
        let mut rows: Vec<[Class; ROW]> = Vec::new();
        let mut run = 0;
        for first in (0..0x11_0000).step_by(ROW) {
            let mut row = [Class::Other; ROW];
            for (offset, class) in row.iter_mut().enumerate() {
                while RUNS
                    .get(run + 1)
                    .is_some_and(|next| (next >> 3) as usize <= first + offset)
                {
                    run += 1;
                }
                *class = Class::ALL[(RUNS[run] & 7) as usize];
            }
            let place = rows
                .iter()
                .position(|known| *known == row)
                .unwrap_or(rows.len());
            if place == rows.len() {
                rows.push(row);
            }
            row_of.push(place as u16);
        }
        Self { row_of, rows }
    }

    fn of(&self, character: char) -> Class {
        let code = character as usize;
        self.rows[usize::from(self.row_of[code / ROW])][code % ROW]
    }

    /// The byte length of the first piece of `text`, which is not empty. Every text starts with a piece.
    pub(super) fn first_piece(&self, text: &str) -> usize {
        let mut characters = text.chars();
        let Some(first) = characters.next() else {
            return 0;
        };
        let class = self.of(first);
        let after_first = first.len_utf8();

        if class.may_open_word()
            && let Some(length) = self.cased_word(&text[after_first..])
        {
            return after_first + length;
        }
        if class.in_upper() || class.in_lower() {
            if let Some(length) = self.cased_word(text) {
                return length;
            }
            return self.run(text, Class::in_upper);
        }
        if class.may_open_word() {
            let length = self.run(characters.as_str(), Class::in_upper);
            if length > 0 {
                return after_first + length;
            }
        }
        match class {
            Class::Number => after_first,
            Class::Other => self.symbols(text),
            Class::Space
                if first == ' ' && self.starts_with(characters.as_str(), Class::is_symbol) =>
            {
                after_first + self.symbols(characters.as_str())
            }
            _ => self.white_space(text),
        }
    }

    /// `U* W+` at the start of `text`: greedy, giving back upper-case characters until the last `W` fits.
    fn cased_word(&self, text: &str) -> Option<usize> {
        let mut after_last_lower = None;
        let mut end = 0;
        for character in text.chars() {
            let class = self.of(character);
            if !class.in_upper() {
                if class == Class::Lower {
                    return Some(end + self.run(&text[end..], Class::in_lower));
                }
                break;
            }
            end += character.len_utf8();
            if class.in_lower() {
                after_last_lower = Some(end);
            }
        }
        after_last_lower
    }

    /// `[^\s L N]+ [\r\n/]*`.
    fn symbols(&self, text: &str) -> usize {
        let symbols = self.run(text, Class::is_symbol);
        let tail = text.as_bytes()[symbols..].iter();
        symbols
            + tail
                .take_while(|byte| matches!(byte, b'\r' | b'\n' | b'/'))
                .count()
    }

    /// Alternatives 5 to 7: up to the last line end of the run; else the run without its last character if text
    /// follows; else the run.
    fn white_space(&self, text: &str) -> usize {
        let run = self.run(text, Class::is_space);
        let spaces = &text[..run];
        if let Some(last) = spaces
            .bytes()
            .rposition(|byte| matches!(byte, b'\r' | b'\n'))
        {
            return last + 1;
        }
        let last_length = spaces.chars().next_back().map_or(0, char::len_utf8);
        if run < text.len() && run > last_length {
            run - last_length
        } else {
            run
        }
    }

    /// The byte length of the longest start of `text` whose characters all satisfy `test`.
    fn run(&self, text: &str, test: fn(Class) -> bool) -> usize {
        text.find(|character| !test(self.of(character)))
            .unwrap_or(text.len())
    }

    fn starts_with(&self, text: &str, test: fn(Class) -> bool) -> bool {
        text.chars()
            .next()
            .is_some_and(|character| test(self.of(character)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(mut text: &str) -> Vec<&str> {
        let classes = Classes::new();
        let mut pieces = Vec::new();
        while !text.is_empty() {
            let (piece, rest) = text.split_at(classes.first_piece(text));
            pieces.push(piece);
            text = rest;
        }
        pieces
    }

    #[test]
    fn words_take_one_opening_character() {
        assert_eq!(pieces("Hello world"), ["Hello", " world"]);
        assert_eq!(pieces("!!abc HTTPServer"), ["!!", "abc", " HTTPServer"]);
        assert_eq!(pieces("ABC日本"), ["ABC日本"]);
        assert_eq!(pieces("日AB."), ["日", "AB", "."]);
        assert_eq!(pieces("\u{301}ABC"), ["\u{301}", "ABC"]);
        assert_eq!(pieces("camelCase"), ["camel", "Case"]);
        assert_eq!(pieces("IT'S don't"), ["IT", "'S", " don", "'t"]);
    }

    #[test]
    fn digits_symbols_and_white_space() {
        assert_eq!(pieces("123"), ["1", "2", "3"]);
        assert_eq!(pieces(" //\r\n x"), [" //\r\n", " x"]);
        assert_eq!(
            pieces("  a\n\n\tb  \r\nC"),
            [" ", " a", "\n\n", "\tb", "  \r\n", "C"]
        );
        assert_eq!(pieces("a   "), ["a", "   "]);
        assert_eq!(pieces("a \u{a0}1"), ["a", " ", "\u{a0}", "1"]);
        assert_eq!(pieces(" \n \n  x"), [" \n \n", " ", " x"]);
    }
}
