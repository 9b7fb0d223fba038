//! How text is cut into pieces before bytes are merged: one row for each family of `tokenizer.ggml.pre` names.
//!
//! A row's patterns are applied one after another, each to the pieces that the one before left. The patterns are those
//! of the families' published tokenizers. Must not know: GGUF, tokens, merging.

/// One family of vocabularies that cut text alike.
pub(super) struct Split {
    /// The names under which GGUF files know it.
    pub names: &'static [&'static str],
    pub patterns: &'static [&'static str],
    /// Whether a piece that is a token as a whole is taken without merging.
    pub whole_pieces: bool,
    /// Whether BOS goes in front where the file does not say.
    pub adds_bos: bool,
}

const DIGIT: &str = r"\p{N}";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
const PUNCTUATION_FALCON: &str = r"[\p{P}\$\+<=>\^~\|`]+";
const THREE_DIGITS: &str = "[0-9][0-9][0-9]";
const CJK: &str = "[一-龥\u{3040}-ゟ゠-ヿ]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

#[rustfmt::skip]
pub(super) const SPLITS: &[Split] = &[
    Split { names: &["default"], patterns: &[PUNCTUATION, GPT2, r"\p{N}+", THREE_DIGITS], whole_pieces: false, adds_bos: false },
    Split { names: &["gpt-2", "gpt2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum", "modern-bert", "mpt", "olmo", "jais", "trillion", "granite-docling", "roberta-bpe", "exaone4"], patterns: &[GPT2], whole_pieces: false, adds_bos: false },
    Split { names: &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"], patterns: &[DIGIT, GPT2], whole_pieces: false, adds_bos: false },
    Split { names: &["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"], patterns: &[LLAMA3], whole_pieces: true, adds_bos: true },
    Split { names: &["dbrx", "smaug-bpe", "chatglm-bpe", "glm4"], patterns: &[LLAMA3], whole_pieces: false, adds_bos: false },
    Split { names: &["qwen2", "stablelm2", "deepseek-r1-qwen", "megrez", "hunyuan"], patterns: &[QWEN2], whole_pieces: false, adds_bos: false },
    Split { names: &["qwen35"], patterns: &[QWEN35], whole_pieces: false, adds_bos: false },
    Split { names: &["tekken"], patterns: &[TEKKEN], whole_pieces: true, adds_bos: true },
    Split { names: &["gpt-4o", "llama4", "kanana2"], patterns: &[O200K], whole_pieces: false, adds_bos: false },
    Split { names: &["falcon"], patterns: &[PUNCTUATION_FALCON, GPT2, THREE_DIGITS], whole_pieces: false, adds_bos: false },
    Split { names: &["deepseek-v3", "hunyuan-dense", "joyai-llm"], patterns: &[r"\p{N}{1,3}", CJK, DEEPSEEK3], whole_pieces: false, adds_bos: false },
];

/// The row for a `tokenizer.ggml.pre` name.
pub(super) fn find(name: &str) -> Option<&'static Split> {
    SPLITS.iter().find(|split| split.names.contains(&name))
}

/// All names, for messages.
pub(super) fn names() -> String {
    SPLITS
        .iter()
        .flat_map(|split| split.names)
        .copied()
        .collect::<Vec<_>>()
        .join(", ")
}
