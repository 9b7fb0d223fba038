//! The fenced blocks of a Markdown page.

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The first word after the fence; empty if there is none.
    pub language: String,
    /// What is between the fences.
    pub text: String,
}

/// All fenced blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                open = Some(Block {
                    language: info
                        .split_whitespace()
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn blocks_have_a_language_and_lines() {
    let block = |language: &str, text: &str| Block {
        language: language.to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(
        blocks("a\n```sh\nls\n```\nb\n```\nx\ny\n```\n"),
        [block("sh", "ls\n"), block("", "x\ny\n")]
    );
}
