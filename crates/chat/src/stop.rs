//! Stop strings, matched on decoded text as it streams.
//!
//! A reply ends at the first stop string that becomes complete. Text that may still turn out to be
//! the start of a stop string is held back, so a client never sees any part of one, and the text
//! that comes out does not depend on how the reply was cut into pieces.
//!
//! Of several stop strings the one that *ends* first wins; of those ending together, the longest.
//! (A stop string inside a longer one therefore always beats it: waiting for the longer one would
//! make the reply depend on text that was never needed.)
//!
//! This module must not know: tokens, vocabularies, messages, or which field of a reply the text
//! belongs to.

use crate::ChatError;

/// What became of a pushed piece of text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Released {
    /// Text that can go to the client now. It comes before any stop string.
    pub text: String,
    /// Index of the stop string that matched, in the order given to [`StopMatcher::new`].
    /// Once set, the reply is over: later pushes release nothing.
    pub stopped_by: Option<usize>,
}

/// Looks for stop strings in one stream of text.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<Stop>,
    /// Text seen but not released: the longest end of the text that is the start of a stop string.
    held: String,
    stopped_by: Option<usize>,
}

/// One stop string with its Knuth-Morris-Pratt table.
#[derive(Debug, Clone)]
struct Stop {
    bytes: Vec<u8>,
    /// `fallback[n]`: length of the longest proper prefix of `bytes` that ends `bytes[..=n]`.
    fallback: Vec<usize>,
    /// How many bytes of the stop string the text ends with now.
    matched: usize,
}

impl Stop {
    fn new(text: &str) -> Self {
        let bytes = text.as_bytes().to_vec();
        let mut fallback = vec![0; bytes.len()];
        let mut length = 0;
        for at in 1..bytes.len() {
            while length > 0 && bytes[at] != bytes[length] {
                length = fallback[length - 1];
            }
            if bytes[at] == bytes[length] {
                length += 1;
            }
            fallback[at] = length;
        }
        Self {
            bytes,
            fallback,
            matched: 0,
        }
    }

    /// Takes one byte of text; true when the stop string is complete.
    fn push(&mut self, byte: u8) -> bool {
        while self.matched > 0 && self.bytes[self.matched] != byte {
            self.matched = self.fallback[self.matched - 1];
        }
        if self.bytes[self.matched] == byte {
            self.matched += 1;
        }
        self.matched == self.bytes.len()
    }
}

impl StopMatcher {
    /// A matcher for `stops`; with none, all text passes through.
    ///
    /// # Errors
    /// [`ChatError::EmptyStop`] when a stop string is empty: it would end every reply before it began.
    pub fn new<S: AsRef<str>>(stops: &[S]) -> Result<Self, ChatError> {
        if let Some(index) = stops.iter().position(|stop| stop.as_ref().is_empty()) {
            return Err(ChatError::EmptyStop { index });
        }
        let stops = stops.iter().map(|stop| Stop::new(stop.as_ref())).collect();
        Ok(Self {
            stops,
            held: String::new(),
            stopped_by: None,
        })
    }

    /// Takes the next piece of text, of any size.
    ///
    /// Cost: linear in the text, times the number of stop strings.
    pub fn push(&mut self, text: &str) -> Released {
        if self.stopped_by.is_some() {
            return Released {
                text: String::new(),
                stopped_by: self.stopped_by,
            };
        }
        for (at, byte) in text.bytes().enumerate() {
            let mut longest: Option<usize> = None;
            for index in 0..self.stops.len() {
                let complete = self.stops[index].push(byte);
                let length = self.stops[index].bytes.len();
                if complete && longest.is_none_or(|best| length > self.stops[best].bytes.len()) {
                    longest = Some(index);
                }
            }
            if let Some(index) = longest {
                self.stopped_by = Some(index);
                // Both ends of a stop string are character boundaries, so nothing is cut in half.
                let start = self.held.len() + at + 1 - self.stops[index].bytes.len();
                let mut released = std::mem::take(&mut self.held);
                released.push_str(text);
                released.truncate(start);
                return Released {
                    text: released,
                    stopped_by: self.stopped_by,
                };
            }
        }
        let hold = self
            .stops
            .iter()
            .map(|stop| stop.matched)
            .max()
            .unwrap_or(0);
        self.held.push_str(text);
        let held = self.held.split_off(self.held.len() - hold);
        Released {
            text: std::mem::replace(&mut self.held, held),
            stopped_by: None,
        }
    }

    /// The stream has ended: what was held back was not a stop string after all.
    pub fn finish(&mut self) -> String {
        for stop in &mut self.stops {
            stop.matched = 0;
        }
        match self.stopped_by {
            Some(_) => String::new(),
            None => std::mem::take(&mut self.held),
        }
    }

    /// Index of the stop string that ended the reply, if one has.
    pub fn stopped_by(&self) -> Option<usize> {
        self.stopped_by
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(stops: &[String], pieces: &[&str]) -> (String, Option<usize>) {
        let mut matcher = StopMatcher::new(stops).unwrap();
        let mut out = String::new();
        for piece in pieces {
            out.push_str(&matcher.push(piece).text);
        }
        out.push_str(&matcher.finish());
        (out, matcher.stopped_by())
    }

    /// The definition, written the slow way.
    fn cut(stops: &[String], text: &str) -> (String, Option<usize>) {
        for end in 0..=text.len() {
            let found = (0..stops.len())
                .filter(|&index| text.as_bytes()[..end].ends_with(stops[index].as_bytes()))
                .min_by_key(|&index| (std::cmp::Reverse(stops[index].len()), index));
            if let Some(index) = found {
                return (text[..end - stops[index].len()].to_owned(), Some(index));
            }
        }
        (text.to_owned(), None)
    }

    fn pieces<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
        let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
        bounds.retain(|&bound| text.is_char_boundary(bound));
        bounds.extend([0, text.len()]);
        bounds.sort_unstable();
        bounds
            .windows(2)
            .map(|pair| &text[pair[0]..pair[1]])
            .collect()
    }

    #[test]
    fn text_is_held_only_while_it_may_be_a_stop_string() {
        let mut matcher = StopMatcher::new(&["END", "\n\n"]).unwrap();
        assert_eq!(matcher.push("a E").text, "a ");
        assert_eq!(matcher.push("N").text, "");
        assert_eq!(matcher.push("d\n").text, "ENd");
        assert_eq!(matcher.push("x EN").text, "\nx ");
        let last = matcher.push("D and more");
        assert_eq!((last.text.as_str(), last.stopped_by), ("", Some(0)));
        assert_eq!(matcher.push("more").text, "");
        assert_eq!(matcher.finish(), "");
    }

    #[test]
    fn the_stop_string_that_ends_first_wins() {
        let stops = ["abcd".to_owned(), "bc".to_owned(), "xbc".to_owned()];
        assert_eq!(stream(&stops, &["abcd"]), ("a".to_owned(), Some(1)));
        assert_eq!(stream(&stops, &["axb", "c"]), ("a".to_owned(), Some(2)));
        assert_eq!(stream(&stops, &["ab"]), ("ab".to_owned(), None));
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        let error = StopMatcher::new(&["a", ""]).unwrap_err();
        assert!(error.to_string().contains("stop"), "{error}");
    }

    #[test]
    fn a_megabyte_of_almost_a_stop_string_is_linear() {
        let stop = format!("{}b", "a".repeat(5_000));
        let text = "a".repeat(1 << 20);
        let (out, stopped) = stream(&[stop], &[&text]);
        assert_eq!((out.len(), stopped), (1 << 20, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn streamed_text_is_the_text_cut_at_the_first_stop_string(
            stops in prop::collection::vec("[ab\u{e9}\u{1f389}]{1,4}", 0..4),
            text in "[abc\u{e9}\u{1f389}\u{1f388}]{0,24}",
            cuts in prop::collection::vec(0usize..100, 0..8),
        ) {
            prop_assert_eq!(stream(&stops, &pieces(&text, &cuts)), cut(&stops, &text));
        }
    }
}
