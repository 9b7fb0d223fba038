//! Whether a text is a regular expression of Python's `re` (3.11), which is what makes a schema's `pattern` valid.
//!
//! Nothing is matched: the expression is walked once for its syntax, its group references, and the widths that
//! look-behinds must have. Must not know: schemas.

use std::collections::HashMap;

use escape::Escaped;

mod escape;

/// Repetition counts and widths end here; as a repetition count it means "without end".
const MAX_REPEAT: u64 = u32::MAX as u64;

/// How deep groups may nest: Python's own recursion ends near this.
const MAX_DEPTH: usize = 400;

type Result<T> = std::result::Result<T, &'static str>;

/// Accepts a regular expression.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(pattern: &str) -> Result<()> {
    let mut parser = Parser {
        characters: pattern.chars().collect(),
        at: 0,
        groups: vec![None],
        names: HashMap::new(),
        lookbehind_groups: None,
        verbose: false,
        conditions: Vec::new(),
        depth: 0,
    };
    parser.alternatives(false, true)?;
    if parser.at < parser.characters.len() {
        return Err("unbalanced parenthesis");
    }
    if parser
        .conditions
        .iter()
        .any(|group| *group >= parser.groups.len())
    {
        return Err("invalid group reference");
    }
    Ok(())
}

/// How many characters an expression matches: at least, at most.
#[derive(Clone, Copy)]
struct Width(u64, u64);

const EMPTY: Width = Width(0, 0);
const ONE: Width = Width(1, 1);

impl Width {
    fn then(self, next: Self) -> Self {
        Self(self.0.saturating_add(next.0), self.1.saturating_add(next.1))
    }

    fn or(self, other: Self) -> Self {
        Self(self.0.min(other.0), self.1.max(other.1))
    }

    fn repeated(self, min: u64, max: u64) -> Self {
        let most = if max == MAX_REPEAT && self.1 > 0 {
            u64::MAX
        } else {
            self.1.saturating_mul(max)
        };
        Self(self.0.saturating_mul(min), most)
    }
}

/// The last item of a sequence, as far as a repetition after it asks.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// `^`, `\b` and the like cannot be repeated.
    Position,
    /// Neither can a repetition.
    Repetition,
    Other,
}

/// What an opening parenthesis turned out to be.
enum Group {
    /// Not an item: a comment or global flags.
    Nothing,
    Item(Width),
}

struct Parser {
    characters: Vec<char>,
    at: usize,
    /// The widths of the groups so far; `None` while a group is open. Group 0 is the whole.
    groups: Vec<Option<Width>>,
    names: HashMap<String, usize>,
    /// Inside a look-behind: the number of groups before it.
    lookbehind_groups: Option<usize>,
    /// The global `x` flag.
    verbose: bool,
    /// The groups that conditions ask for by number.
    conditions: Vec<usize>,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek();
        self.at += usize::from(character.is_some());
        character
    }

    fn take(&mut self, character: char) -> bool {
        let found = self.peek() == Some(character);
        self.at += usize::from(found);
        found
    }

    /// The text before `end`, which is stepped over.
    fn until(&mut self, end: char) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some(character) if character == end => break,
                Some(character) => text.push(character),
                None => return Err("unterminated name"),
            }
        }
        if text.is_empty() {
            Err("missing name")
        } else {
            Ok(text)
        }
    }

    /// `a|b|c`, to the end or a closing parenthesis. `top` is true for the whole expression.
    fn alternatives(&mut self, mut verbose: bool, top: bool) -> Result<Width> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("groups nest too deep");
        }
        let mut width = self.sequence(verbose, top)?;
        while self.take('|') {
            if top {
                verbose = self.verbose;
            }
            width = width.or(self.sequence(verbose, false)?);
        }
        self.depth -= 1;
        Ok(width)
    }

    /// Items after one another. `first` allows global flags at its start.
    fn sequence(&mut self, mut verbose: bool, first: bool) -> Result<Width> {
        let mut before = EMPTY;
        let mut last: Option<(Kind, Width)> = None;
        while let Some(character) = self.peek() {
            if matches!(character, '|' | ')') {
                break;
            }
            self.at += 1;
            if verbose && self.skipped(character) {
                continue;
            }
            let item = match character {
                '\\' => match self.escape()? {
                    Escaped::Position => (Kind::Position, EMPTY),
                    Escaped::Reference(group) => (Kind::Other, self.reference(group)?),
                    Escaped::Literal(_) | Escaped::Class => (Kind::Other, ONE),
                },
                '[' => {
                    self.class()?;
                    (Kind::Other, ONE)
                }
                '*' | '+' | '?' | '{' => {
                    if let Some((min, max)) = self.repetition(character)? {
                        last = Some(self.repeat(last, min, max)?);
                        continue;
                    }
                    (Kind::Other, ONE)
                }
                '(' => match self.group(verbose, first && last.is_none())? {
                    Group::Nothing => {
                        verbose |= first && last.is_none() && self.verbose;
                        continue;
                    }
                    Group::Item(width) => (Kind::Other, width),
                },
                '^' | '$' => (Kind::Position, EMPTY),
                _ => (Kind::Other, ONE),
            };
            if let Some((_, width)) = last.replace(item) {
                before = before.then(width);
            }
        }
        Ok(last.map_or(before, |(_, width)| before.then(width)))
    }

    /// In verbose mode: steps over white space and comments.
    fn skipped(&mut self, character: char) -> bool {
        if character == '#' {
            while self.next().is_some_and(|character| character != '\n') {}
            return true;
        }
        matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
    }

    /// The bounds of a repetition whose first character was read; `None` if the brace is an ordinary character.
    fn repetition(&mut self, character: char) -> Result<Option<(u64, u64)>> {
        match character {
            '?' => return Ok(Some((0, 1))),
            '*' => return Ok(Some((0, MAX_REPEAT))),
            '+' => return Ok(Some((1, MAX_REPEAT))),
            _ => {}
        }
        let start = self.at;
        if self.peek() == Some('}') {
            return Ok(None);
        }
        let low = self.number();
        let high = if self.take(',') { self.number() } else { low };
        if !self.take('}') {
            self.at = start;
            return Ok(None);
        }
        let (min, max) = (low.unwrap_or(0), high.unwrap_or(MAX_REPEAT));
        if low.is_some_and(|low| low >= MAX_REPEAT) || high.is_some_and(|high| high >= MAX_REPEAT) {
            return Err("the repetition number is too large");
        }
        if max < min {
            Err("min repeat greater than max repeat")
        } else {
            Ok(Some((min, max)))
        }
    }

    /// Decimal digits, held down to the largest number.
    fn number(&mut self) -> Option<u64> {
        let mut number: Option<u64> = None;
        while let Some(digit) = self.peek().and_then(|character| character.to_digit(10)) {
            self.at += 1;
            number = Some(
                number
                    .unwrap_or(0)
                    .saturating_mul(10)
                    .saturating_add(u64::from(digit)),
            );
        }
        number
    }

    fn repeat(&mut self, last: Option<(Kind, Width)>, min: u64, max: u64) -> Result<(Kind, Width)> {
        let width = match last {
            None | Some((Kind::Position, _)) => return Err("nothing to repeat"),
            Some((Kind::Repetition, _)) => return Err("multiple repeat"),
            Some((Kind::Other, width)) => width,
        };
        if !self.take('?') {
            self.take('+');
        }
        Ok((Kind::Repetition, width.repeated(min, max)))
    }

    /// A reference to a group that must be closed, and outside of an enclosing look-behind.
    fn reference(&self, group: usize) -> Result<Width> {
        let width = self
            .groups
            .get(group)
            .copied()
            .flatten()
            .ok_or("cannot refer to an open group")?;
        self.check_lookbehind(group)?;
        Ok(width)
    }

    fn check_lookbehind(&self, group: usize) -> Result<()> {
        let Some(before) = self.lookbehind_groups else {
            return Ok(());
        };
        if self.groups.get(group).copied().flatten().is_none() {
            return Err("cannot refer to an open group");
        }
        if group >= before {
            return Err("cannot refer to group defined in the same lookbehind subpattern");
        }
        Ok(())
    }

    /// A parenthesis that was just opened, up to its end.
    fn group(&mut self, verbose: bool, may_set_flags: bool) -> Result<Group> {
        if !self.take('?') {
            return self.capture(None, verbose);
        }
        match self.next().ok_or("unexpected end of pattern")? {
            'P' => self.python_group(verbose),
            ':' | '>' => self.rest_of_group(verbose).map(Group::Item),
            '#' => {
                self.until_comment_end()?;
                Ok(Group::Nothing)
            }
            '=' | '!' => {
                self.rest_of_group(verbose)?;
                Ok(Group::Item(EMPTY))
            }
            '<' => self.lookbehind(verbose),
            '(' => self.conditional(verbose),
            flag if escape::FLAGS.contains(flag) || flag == '-' => {
                self.flags(flag, verbose, may_set_flags)
            }
            _ => Err("unknown extension"),
        }
    }

    fn until_comment_end(&mut self) -> Result<()> {
        loop {
            match self.next() {
                Some(')') => return Ok(()),
                Some(_) => {}
                None => return Err("missing ), unterminated comment"),
            }
        }
    }

    /// The alternatives of a group and its closing parenthesis.
    fn rest_of_group(&mut self, verbose: bool) -> Result<Width> {
        let width = self.alternatives(verbose, false)?;
        if self.take(')') {
            Ok(width)
        } else {
            Err("missing ), unterminated subpattern")
        }
    }

    fn capture(&mut self, name: Option<String>, verbose: bool) -> Result<Group> {
        let group = self.groups.len();
        self.groups.push(None);
        if let Some(name) = name
            && self.names.insert(name, group).is_some()
        {
            return Err("redefinition of group name");
        }
        let width = self.rest_of_group(verbose)?;
        self.groups[group] = Some(width);
        Ok(Group::Item(width))
    }

    /// `(?P<name>…)` and `(?P=name)`.
    fn python_group(&mut self, verbose: bool) -> Result<Group> {
        match self.next().ok_or("unexpected end of pattern")? {
            '<' => {
                let name = self.until('>')?;
                if !is_identifier(&name) {
                    return Err("bad character in group name");
                }
                self.capture(Some(name), verbose)
            }
            '=' => {
                let name = self.until(')')?;
                let group = self.names.get(&name).copied().ok_or("unknown group name")?;
                self.reference(group).map(Group::Item)
            }
            _ => Err("unknown extension ?P"),
        }
    }

    fn lookbehind(&mut self, verbose: bool) -> Result<Group> {
        if !matches!(self.next().ok_or("unexpected end of pattern")?, '=' | '!') {
            return Err("unknown extension ?<");
        }
        let outer = self.lookbehind_groups;
        self.lookbehind_groups = outer.or(Some(self.groups.len()));
        let width = self.rest_of_group(verbose)?;
        self.lookbehind_groups = outer;
        if width.0 != width.1 || width.0 > MAX_REPEAT {
            return Err("look-behind requires fixed-width pattern");
        }
        Ok(Group::Item(EMPTY))
    }

    /// `(?(group)yes|no)`.
    fn conditional(&mut self, verbose: bool) -> Result<Group> {
        let name = self.until(')')?;
        let group = if is_identifier(&name) {
            self.names.get(&name).copied().ok_or("unknown group name")?
        } else {
            let group: usize = name
                .trim()
                .parse()
                .map_err(|_| "bad character in group name")?;
            if group == 0 {
                return Err("bad group number");
            }
            self.conditions.push(group);
            group
        };
        self.check_lookbehind(group)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("groups nest too deep");
        }
        let yes = self.sequence(verbose, false)?;
        let no = if self.take('|') {
            self.sequence(verbose, false)?
        } else {
            EMPTY
        };
        self.depth -= 1;
        match self.peek() {
            Some('|') => Err("conditional backref with more than two branches"),
            Some(')') => {
                self.at += 1;
                // Without a second branch only the least width is nothing.
                Ok(Group::Item(Width(yes.0.min(no.0), yes.1.max(no.1))))
            }
            _ => Err("missing ), unterminated subpattern"),
        }
    }
}

/// A Python identifier, to the letters and digits that Rust knows.
fn is_identifier(name: &str) -> bool {
    let starts = name
        .chars()
        .next()
        .is_some_and(|first| first == '_' || first.is_alphabetic());
    starts
        && name
            .chars()
            .all(|character| character == '_' || character.is_alphanumeric())
}

#[cfg(test)]
mod tests;
