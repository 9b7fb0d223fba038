//! Escapes, character classes and inline flags of Python's regular expressions.
//!
//! Must not know: groups and widths, but for the number a back-reference names.

use super::{Group, Parser, Result};

/// The inline flags: standard ones, then Python's own.
pub(super) const FLAGS: &str = "iLmsxatu";

/// What follows a backslash.
pub(super) enum Escaped {
    /// A character, by code point.
    Literal(u32),
    /// `\d`, `\W` and the like.
    Class,
    /// `\A`, `\b`, `\B`, `\Z`.
    Position,
    /// `\1` and the like.
    Reference(usize),
}

impl Parser {
    /// An escape outside of a class; the backslash was read.
    pub(super) fn escape(&mut self) -> Result<Escaped> {
        let character = self.next().ok_or("bad escape (end of pattern)")?;
        match character {
            'A' | 'b' | 'B' | 'Z' => Ok(Escaped::Position),
            '0' => {
                let octal = self.digits(8, 2);
                Ok(Escaped::Literal(octal.1))
            }
            '1'..='9' => self.reference_or_octal(character),
            _ => self.common_escape(character),
        }
    }

    /// An escape inside a class.
    fn class_escape(&mut self) -> Result<Escaped> {
        let character = self.next().ok_or("bad escape (end of pattern)")?;
        match character {
            'b' => Ok(Escaped::Literal(8)),
            '0'..='7' => {
                self.at -= 1;
                let (_, code) = self.digits(8, 3);
                if code > 0o377 {
                    Err("octal escape value outside of range")
                } else {
                    Ok(Escaped::Literal(code))
                }
            }
            '8' | '9' => Err("bad escape"),
            _ => self.common_escape(character),
        }
    }

    fn common_escape(&mut self, character: char) -> Result<Escaped> {
        const HEX: [(char, usize); 3] = [('x', 2), ('u', 4), ('U', 8)];
        const NAMED: [(char, u32); 6] = [
            ('a', 7),
            ('f', 12),
            ('n', 10),
            ('r', 13),
            ('t', 9),
            ('v', 11),
        ];
        if let Some((_, length)) = HEX.into_iter().find(|(name, _)| *name == character) {
            let (count, code) = self.digits(16, length);
            if count < length {
                return Err("incomplete escape");
            }
            return if code > 0x10_ffff {
                Err("bad escape")
            } else {
                Ok(Escaped::Literal(code))
            };
        }
        if let Some((_, code)) = NAMED.into_iter().find(|(name, _)| *name == character) {
            return Ok(Escaped::Literal(code));
        }
        match character {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => Ok(Escaped::Class),
            'N' => {
                // Whether the character of that name exists is not looked up.
                if !self.take('{') {
                    return Err("missing {");
                }
                self.until('}')?;
                Ok(Escaped::Literal(u32::MAX))
            }
            letter if letter.is_ascii_alphabetic() => Err("bad escape"),
            other => Ok(Escaped::Literal(u32::from(other))),
        }
    }

    /// Up to `length` digits: how many there were, and their value.
    fn digits(&mut self, radix: u32, length: usize) -> (usize, u32) {
        let mut value = 0_u32;
        for count in 0..length {
            match self.peek().and_then(|character| character.to_digit(radix)) {
                Some(digit) => {
                    self.at += 1;
                    value = value.saturating_mul(radix).saturating_add(digit);
                }
                None => return (count, value),
            }
        }
        (length, value)
    }

    /// A digit other than 0 starts a group's number of up to two digits, or three octal ones a character.
    fn reference_or_octal(&mut self, first: char) -> Result<Escaped> {
        let start = self.at - 1;
        if matches!(first, '1'..='7') {
            self.at = start;
            let (count, code) = self.digits(8, 3);
            if count == 3 {
                return if code > 0o377 {
                    Err("octal escape value outside of range")
                } else {
                    Ok(Escaped::Literal(code))
                };
            }
        }
        self.at = start;
        let (_, group) = self.digits(10, 2);
        let group = group as usize;
        if group < self.groups.len() {
            Ok(Escaped::Reference(group))
        } else {
            Err("invalid group reference")
        }
    }

    /// A character class; its opening bracket was read.
    pub(super) fn class(&mut self) -> Result<()> {
        const UNTERMINATED: &str = "unterminated character set";
        self.take('^');
        let mut is_first = true;
        loop {
            let character = self.next().ok_or(UNTERMINATED)?;
            if character == ']' && !is_first {
                return Ok(());
            }
            is_first = false;
            let low = self.class_item(character)?;
            if !self.take('-') {
                continue;
            }
            let character = self.next().ok_or(UNTERMINATED)?;
            if character == ']' {
                return Ok(());
            }
            let high = self.class_item(character)?;
            match (low, high) {
                (Escaped::Literal(low), Escaped::Literal(high)) if low <= high => {}
                _ => return Err("bad character range"),
            }
        }
    }

    fn class_item(&mut self, character: char) -> Result<Escaped> {
        if character == '\\' {
            self.class_escape()
        } else {
            Ok(Escaped::Literal(u32::from(character)))
        }
    }

    /// Inline flags whose first character was read: global ones, or those of a group.
    pub(super) fn flags(
        &mut self,
        first: char,
        verbose: bool,
        may_set_flags: bool,
    ) -> Result<Group> {
        let mut added = String::new();
        let mut character = first;
        while !matches!(character, '-' | ':' | ')') {
            self.add_flag(character, &mut added)?;
            character = self.next().ok_or("missing -, : or )")?;
        }
        if character == ')' {
            if !may_set_flags {
                return Err("global flags not at the start of the expression");
            }
            self.verbose |= added.contains('x');
            return Ok(Group::Nothing);
        }
        if added.contains('t') {
            return Err("bad inline flags: cannot turn on global flag");
        }
        let removed = if character == '-' {
            self.removed_flags()?
        } else {
            String::new()
        };
        if added.chars().any(|flag| removed.contains(flag)) {
            return Err("bad inline flags: flag turned on and off");
        }
        let verbose = (verbose || added.contains('x')) && !removed.contains('x');
        self.rest_of_group(verbose).map(Group::Item)
    }

    fn add_flag(&self, flag: char, added: &mut String) -> Result<()> {
        if !FLAGS.contains(flag) {
            return Err("unknown flag");
        }
        if flag == 'L' {
            return Err("bad inline flags: cannot use 'L' flag with a str pattern");
        }
        added.push(flag);
        if added.contains('a') && added.contains('u') {
            return Err("bad inline flags: flags 'a', 'u' and 'L' are incompatible");
        }
        Ok(())
    }

    fn removed_flags(&mut self) -> Result<String> {
        let mut removed = String::new();
        loop {
            match self.next().ok_or("missing flag")? {
                ':' if !removed.is_empty() => break,
                'a' | 'u' | 'L' => {
                    return Err("bad inline flags: cannot turn off flags 'a', 'u' and 'L'");
                }
                flag if FLAGS.contains(flag) => removed.push(flag),
                _ => return Err("unknown flag"),
            }
        }
        if removed.contains('t') {
            return Err("bad inline flags: cannot turn off global flag");
        }
        Ok(removed)
    }
}
