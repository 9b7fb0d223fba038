//! Markdown as it streams in, lightly styled for a terminal: headings, bold, italics, code, lists, quotes.
//!
//! Text arrives in pieces and leaves at once: only the few characters that may yet become a mark are held back, so any
//! cutting of the same text gives the same bytes. What is not understood stays as it is. Must not know: where it is shown.

const RESET: &str = "\x1b[0m";
/// Columns of white space that may stand before a mark at the start of a line.
const DEEPEST_INDENT: usize = 24;
/// The longest heading mark.
const MOST_HASHES: usize = 6;
/// The shortest fence.
const FENCE: usize = 3;

/// Turns pieces of Markdown into pieces for a terminal.
#[derive(Clone, Debug, Default)]
pub struct Markdown {
    /// What may yet become a mark.
    held: String,
    /// Inside a line, past its mark.
    inside: bool,
    line: Line,
    /// The backticks that opened a code span.
    span: usize,
    bold: bool,
    italic: bool,
    /// The fence that opened a block of code.
    fence: Option<(char, usize)>,
    /// The last character of the line.
    before: Option<char>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Text,
    Heading,
    Fence,
    Code,
}

/// What the beginning of a line means.
enum Start {
    /// More is needed.
    Unknown,
    /// So many bytes of mark, which becomes this text.
    Mark(usize, Line, String),
}

impl Markdown {
    /// What to show for the next piece.
    pub fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.advance(false)
    }

    /// What to show at the end of the text.
    pub fn finish(&mut self) -> String {
        let mut out = self.advance(true);
        if self.is_styled() {
            out.push_str(RESET);
        }
        *self = Self::default();
        out
    }

    fn advance(&mut self, last: bool) -> String {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_str();
        let mut out = String::new();
        while !rest.is_empty() {
            let taken = match self.inside {
                false => self.begin(rest, last, &mut out),
                true => self.inline(rest, last, &mut out),
            };
            match taken {
                Some(bytes) => rest = &rest[bytes..],
                None => break,
            }
        }
        self.held = rest.to_owned();
        out
    }

    /// Takes a line's mark; none if more is needed to know it.
    fn begin(&mut self, rest: &str, last: bool, out: &mut String) -> Option<usize> {
        let start = match self.fence {
            Some(fence) => fenced(rest, fence, last),
            None => start(rest, last),
        };
        let Start::Mark(bytes, line, text) = start else {
            return None;
        };
        if line == Line::Fence {
            let mark = rest.trim_start();
            self.fence = match self.fence {
                Some(_) => None,
                None => mark
                    .chars()
                    .next()
                    .map(|mark_char| (mark_char, run(mark, mark_char))),
            };
        }
        (self.inside, self.line, self.before) = (true, line, None);
        out.push_str(&text);
        if self.is_styled() {
            out.push_str(&self.style());
        }
        Some(bytes)
    }

    /// Takes a character or a mark inside a line; none if more is needed.
    fn inline(&mut self, rest: &str, last: bool, out: &mut String) -> Option<usize> {
        let next = rest.chars().next()?;
        if next == '\n' {
            if self.is_styled() {
                out.push_str(RESET);
            }
            out.push('\n');
            (self.inside, self.line, self.span) = (false, Line::Text, 0);
            (self.bold, self.italic) = (false, false);
            return Some(1);
        }
        let is_plain = matches!(self.line, Line::Code | Line::Fence);
        let marks = match next {
            '`' | '*' if !is_plain => run(rest, next),
            _ => 0,
        };
        if marks > 0 && marks == rest.len() && !last {
            return None;
        }
        let after = rest[marks..].chars().next();
        let is_mark = match next {
            '`' if marks > 0 => self.backticks(marks),
            '*' if marks > 0 && self.span == 0 => self.stars(marks, after),
            _ => false,
        };
        self.before = Some(next);
        match (is_mark, marks) {
            (true, _) => {
                out.push_str(RESET);
                out.push_str(&self.style());
                Some(marks)
            }
            (false, 0) => {
                out.push(next);
                Some(next.len_utf8())
            }
            (false, _) => {
                out.push_str(&rest[..marks]);
                Some(marks)
            }
        }
    }

    fn backticks(&mut self, marks: usize) -> bool {
        let opens = self.span == 0;
        if opens {
            self.span = marks;
        } else if self.span == marks {
            self.span = 0;
        } else {
            return false;
        }
        true
    }

    /// Whether stars open or close something: they open before text and not inside a word, and close behind text.
    fn stars(&mut self, marks: usize, after: Option<char>) -> bool {
        let at_text = after.is_some_and(|c| !c.is_whitespace());
        // A backslash says that a star is a star.
        let in_word = self
            .before
            .is_some_and(|c| c.is_alphanumeric() || c == '\\');
        let behind_text = self.before.is_some_and(|c| !c.is_whitespace());
        let (bold, italic) = match marks {
            1 => (false, true),
            2 => (true, false),
            3 => (true, true),
            _ => return false,
        };
        let (is_bold, is_italic) = (bold && self.bold, italic && self.italic);
        if behind_text && (is_bold, is_italic) == (bold, italic) {
            self.bold &= !bold;
            self.italic &= !italic;
            return true;
        }
        let opens = at_text && !in_word && !is_bold && !is_italic;
        if opens {
            self.bold |= bold;
            self.italic |= italic;
        }
        opens
    }

    fn is_styled(&self) -> bool {
        self.line != Line::Text || self.span > 0 || self.bold || self.italic
    }

    /// The codes of all that is switched on.
    fn style(&self) -> String {
        let on = [
            (self.bold || self.line == Line::Heading, "\x1b[1m"),
            (self.italic, "\x1b[3m"),
            (self.line == Line::Fence, "\x1b[2m"),
            (self.span > 0 || self.line == Line::Code, "\x1b[36m"),
        ];
        on.iter()
            .filter(|(on, _)| *on)
            .map(|(_, code)| *code)
            .collect()
    }
}

/// How many of `mark` a text begins with.
fn run(text: &str, mark: char) -> usize {
    text.chars().take_while(|c| *c == mark).count()
}

/// What a line of a block of code begins with.
fn fenced(rest: &str, (mark, length): (char, usize), last: bool) -> Start {
    let body = rest.trim_start_matches(' ');
    let marks = run(body, mark);
    let code = Start::Mark(0, Line::Code, String::new());
    if rest.len() - body.len() > DEEPEST_INDENT {
        return code;
    }
    match body[marks..].chars().next() {
        None if !last => Start::Unknown,
        None if marks >= length => Start::Mark(0, Line::Fence, String::new()),
        Some(after) if marks >= length && after.is_whitespace() => {
            Start::Mark(0, Line::Fence, String::new())
        }
        _ => code,
    }
}

/// What a line of text begins with.
fn start(rest: &str, last: bool) -> Start {
    let body = rest.trim_start_matches(' ');
    let indent = rest.len() - body.len();
    let plain = || Start::Mark(0, Line::Text, String::new());
    if indent > DEEPEST_INDENT {
        return plain();
    }
    let Some(mark) = body.chars().next() else {
        return match last {
            true => plain(),
            false => Start::Unknown,
        };
    };
    let marks = run(body, mark);
    let after = body[marks * mark.len_utf8()..].chars().next();
    let is_possible = match mark {
        '#' => marks <= MOST_HASHES,
        '`' | '~' => true,
        '-' | '*' | '+' | '>' => marks == 1,
        _ => false,
    };
    match (mark, after) {
        _ if !is_possible => plain(),
        (_, None) if !last => Start::Unknown,
        ('`' | '~', _) if marks >= FENCE => Start::Mark(0, Line::Fence, String::new()),
        ('#', Some(' ')) => Start::Mark(indent + marks + 1, Line::Heading, String::new()),
        ('-' | '*' | '+', Some(' ')) => Start::Mark(
            indent + 2,
            Line::Text,
            format!("{}\u{2022} ", " ".repeat(indent)),
        ),
        ('>', Some(' ')) => Start::Mark(
            indent + 2,
            Line::Text,
            format!("{}\u{2502} ", " ".repeat(indent)),
        ),
        _ => plain(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str) -> String {
        let mut markdown = Markdown::default();
        let shown = markdown.push(text);
        shown + &markdown.finish()
    }

    /// The codes by name, to be read.
    fn named(text: &str) -> String {
        let names = [
            (RESET, "</>"),
            ("\x1b[1m", "<b>"),
            ("\x1b[3m", "<i>"),
            ("\x1b[2m", "<dim>"),
            ("\x1b[36m", "<code>"),
        ];
        let mut shown = whole(text);
        for (code, name) in names {
            shown = shown.replace(code, name);
        }
        shown
    }

    #[test]
    fn marks_become_styles() {
        let cases = [
            ("plain\n", "plain\n"),
            ("# Title\ntext", "<b>Title</>\ntext"),
            ("###### Deep", "<b>Deep</>"),
            ("####### seven", "####### seven"),
            ("#hash", "#hash"),
            ("a **b** c", "a </><b>b</> c"),
            (
                "*it* **b *both* b**",
                "</><i>it</> </><b>b </><b><i>both</><b> b</>",
            ),
            ("***all***", "</><b><i>all</>"),
            ("`x*y*z` w", "</><code>x*y*z</> w"),
            ("``a ` b``", "</><code>a ` b</>"),
            ("- one\n* two\n  + three", "• one\n• two\n  • three"),
            ("> said", "│ said"),
            ("1. first", "1. first"),
            ("---\n- - -", "---\n• - -"),
            (
                "```rust\nlet **x** = `1`;\n```\nafter",
                "<dim>```rust</>\n<code>let **x** = `1`;</>\n<dim>```</>\nafter",
            ),
            ("~~~\n```\n~~~", "<dim>~~~</>\n<code>```</>\n<dim>~~~</>"),
            ("```\nopen", "<dim>```</>\n<code>open</>"),
        ];
        for (text, expected) in cases {
            assert_eq!(named(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_mark_stays() {
        for text in [
            "2 * 3 * 4",
            "2**3**4",
            "a * b",
            "** alone **",
            "x_y_z __init__",
            "-5 -x",
            ">no",
            "****",
            "C:\\dir\\*.txt",
            "\\(x\\)",
            "    four",
        ] {
            assert_eq!(whole(text), text);
        }
    }

    /// A style ends with its line, whatever was forgotten.
    #[test]
    fn styles_do_not_run_on() {
        assert_eq!(named("**open\nnext"), "</><b>open</>\nnext");
        assert_eq!(named("`open\nnext"), "</><code>open</>\nnext");
    }

    #[test]
    fn text_is_shown_at_once() {
        let mut markdown = Markdown::default();
        assert_eq!(markdown.push("Hel"), "Hel");
        assert_eq!(markdown.push("lo *"), "lo ");
        assert_eq!(markdown.push(" x"), "* x");
        assert_eq!(markdown.push("\n#"), "\n");
        assert_eq!(markdown.push("1"), "#1");
    }

    proptest! {
        /// Any cutting gives the same bytes; nothing but marks is lost.
        #[test]
        fn cutting_changes_nothing(
            parts in proptest::collection::vec("([a-c é\n]|[*`#>~-]|\\*\\*|```|# |- ){0,6}", 0..8)
        ) {
            let text = parts.concat();
            let mut markdown = Markdown::default();
            let mut shown: String = parts.iter().map(|part| markdown.push(part)).collect();
            shown.push_str(&markdown.finish());
            prop_assert_eq!(&shown, &whole(&text));

            let letters = |text: &str| -> String {
                let codes = [RESET, "\x1b[1m", "\x1b[3m", "\x1b[2m", "\x1b[36m"];
                let bare = codes.iter().fold(text.to_owned(), |text, code| text.replace(code, ""));
                bare.chars().filter(|c| c.is_alphabetic() || *c == '\n').collect()
            };
            prop_assert_eq!(letters(&shown), letters(&text));
        }
    }
}
