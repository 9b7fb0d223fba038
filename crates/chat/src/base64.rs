//! Base64 as Python's `b64decode` reads it: characters outside the alphabet are skipped, padding must be right, and
//! nothing after the padding is read.
//!
//! Must not know: what the bytes are.

/// The bytes, or what is wrong with the text.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    if !text.is_ascii() {
        return Err("base64 holds characters that are not ASCII");
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let mut bits = 0_u32;
    let mut in_group = 0;
    let mut padding = 0;
    for byte in text.bytes() {
        if byte == b'=' {
            padding += 1;
            if in_group >= 2 && in_group + padding >= 4 {
                return Ok(bytes);
            }
            continue;
        }
        let Some(value) = sextet(byte) else { continue };
        padding = 0;
        bits = bits << 6 | value;
        in_group = (in_group + 1) % 4;
        match in_group {
            2 => bytes.push((bits >> 4) as u8),
            3 => bytes.push((bits >> 2) as u8),
            0 => bytes.push(bits as u8),
            _ => {}
        }
    }
    match in_group {
        0 => Ok(bytes),
        1 => Err("base64 has one character too many"),
        _ => Err("base64 lacks its padding"),
    }
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn reads_what_python_reads() {
        let table: [(&str, Option<&[u8]>); 10] = [
            ("aGVsbG8=", Some(b"hello")),
            ("aGV sbG8\n=", Some(b"hello")),
            ("aGVsbG8=aGVs", Some(b"hello")),
            ("", Some(b"")),
            ("====", Some(b"")),
            ("YQ==", Some(b"a")),
            ("YQ=", None),
            ("YQ", None),
            ("Y", None),
            ("é", None),
        ];
        for (text, expected) in table {
            assert_eq!(decode(text).ok().as_deref(), expected, "{text}");
        }
    }
}
