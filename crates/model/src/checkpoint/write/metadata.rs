//! Key-value pairs as a GGUF stores them.

/// A metadata pair to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufPair {
    key: String,
    /// The type's number in the file.
    kind: u32,
    value: Vec<u8>,
}

// The numbers of types: ggml's `enum gguf_type`.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// A text as it lies in the file: its length, then its bytes.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}

impl GgufPair {
    /// A pair that was read from another file: its type's number and its bytes, as they are.
    pub(super) fn raw(key: &str, kind: u32, value: &[u8]) -> GgufPair {
        GgufPair {
            key: key.to_owned(),
            kind,
            value: value.to_vec(),
        }
    }

    /// A whole number.
    pub fn count(key: &str, value: u32) -> GgufPair {
        GgufPair::raw(key, U32, &value.to_le_bytes())
    }

    /// A real number.
    pub fn real(key: &str, value: f32) -> GgufPair {
        GgufPair::raw(key, F32, &value.to_le_bytes())
    }

    /// A truth value.
    pub fn flag(key: &str, value: bool) -> GgufPair {
        GgufPair::raw(key, BOOL, &[u8::from(value)])
    }

    /// A text.
    pub fn text(key: &str, value: &str) -> GgufPair {
        let mut bytes = Vec::new();
        put_text(&mut bytes, value.as_bytes());
        GgufPair::raw(key, TEXT, &bytes)
    }

    /// A list of texts.
    pub fn texts(key: &str, values: &[String]) -> GgufPair {
        let put = |out: &mut Vec<u8>, text: &String| put_text(out, text.as_bytes());
        GgufPair::list(key, TEXT, values, put)
    }

    /// A list of real numbers.
    pub fn reals(key: &str, values: &[f32]) -> GgufPair {
        GgufPair::list(key, F32, values, |out, value| {
            out.extend(value.to_le_bytes());
        })
    }

    /// A list of whole numbers.
    pub fn whole_numbers(key: &str, values: &[i32]) -> GgufPair {
        GgufPair::list(key, I32, values, |out, value| {
            out.extend(value.to_le_bytes());
        })
    }

    fn list<T>(key: &str, kind: u32, values: &[T], put: impl Fn(&mut Vec<u8>, &T)) -> GgufPair {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| put(&mut bytes, value));
        GgufPair::raw(key, LIST, &bytes)
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Appends the pair as it lies in the file.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_text(out, self.key.as_bytes());
        out.extend(self.kind.to_le_bytes());
        out.extend(&self.value);
    }
}
