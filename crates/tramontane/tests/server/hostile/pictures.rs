//! Image files that claim or unfold to more than they should, sent to a model that sees.

use super::{CHAT, is_refused, withstands};
use crate::seeing::seeing;
use crate::server::{Answer, Server};
use serde_json::{Value, json};

/// A deflate stream of so many zeros, in 13 bits each 258 of them: a literal zero, then copies of what is before.
/// Source: RFC 1951, 3.2.6.
fn deflated_zeros(count: usize) -> Vec<u8> {
    let (mut bytes, mut filled) = (vec![0x78, 0x01], 8);
    let mut put = |bits: &str| {
        for bit in bits.bytes() {
            if filled == 8 {
                bytes.push(0);
                filled = 0;
            }
            *bytes.last_mut().unwrap() |= (bit - b'0') << filled;
            filled += 1;
        }
    };
    // A last block with fixed codes; numbers come lowest bit first, codes highest first.
    put("110");
    put("00110000");
    for _ in 0..(count - 1) / 258 {
        put("1100010100000");
    }
    for _ in 0..(count - 1) % 258 {
        put("00110000");
    }
    put("0000000");
    bytes.extend(((count as u32 % 65_521) << 16 | 1).to_be_bytes());
    bytes
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&kind[..], data].concat();
    let remainder = named.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            1 => crc >> 1 ^ 0xedb8_8320,
            _ => crc >> 1,
        })
    });
    let length = data.len() as u32;
    [
        &length.to_be_bytes()[..],
        &named,
        &(!remainder).to_be_bytes(),
    ]
    .concat()
}

/// A PNG of eight bits red, green and blue, of this size by its header, whose pixels and other chunks are these.
fn png(width: u32, height: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = chunk(b"IHDR", &[&size[..], &[8, 2, 0, 0, 0]].concat());
    [
        &b"\x89PNG\r\n\x1a\n"[..],
        &header,
        &chunks.concat(),
        &chunk(b"IEND", b""),
    ]
    .concat()
}

fn pixels(width: usize, height: usize) -> Vec<u8> {
    chunk(b"IDAT", &deflated_zeros(height * (1 + 3 * width)))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0, |sum, i| {
            sum << 8 | u32::from(*three.get(i).unwrap_or(&0))
        });
        for i in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= three.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

fn ask(server: &Server, image: &[u8]) -> Answer {
    let url = format!("data:image/png;base64,{}", base64(image));
    let content =
        json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "?"}]);
    let body: Value = json!({"messages": [{"role": "user", "content": content}], "max_tokens": 1});
    server.post(CHAT, &body)
}

#[test]
fn pictures_that_unfold_are_refused() {
    let mut server = seeing(&["--max-body", "64MiB"]);
    assert_eq!(
        ask(&server, &png(56, 56, &[pixels(56, 56)])).status,
        200,
        "a true image is seen"
    );
    let bomb = deflated_zeros(300 << 20);
    let profile = [&b"a\0\0"[..], &bomb].concat();
    let text = [&b"a\0\x01\0\0\0"[..], &bomb].concat();
    let jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xd9";
    let gif = b"GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x02\x4c\x01\x00;";
    let webp = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\xff\xff\xff\x0f\x00\x00\x00\x00\x00\x00\x00\x00";
    let bmp = [&b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f\x01\0\x18\0"[..], &[0; 24]].concat();
    let whole = png(2000, 2000, &[pixels(2000, 2000)]);
    let refused: Vec<(&str, Vec<u8>)> = vec![
        (
            "100,000 pixels on a side",
            png(100_000, 100_000, &[pixels(100, 100)]),
        ),
        (
            "2^32 pixels on a side",
            png(u32::MAX, u32::MAX, &[pixels(100, 100)]),
        ),
        ("no pixels", png(0, 0, &[])),
        ("a thin one", png(1, 1 << 25, &[pixels(1, 1 << 10)])),
        (
            "fewer pixels than it says",
            png(5000, 5000, &[pixels(100, 100)]),
        ),
        ("cut off", whole[..whole.len() / 2].to_vec()),
        (
            "pixels in a million chunks",
            png(5000, 5000, &vec![chunk(b"IDAT", b""); 1_000_000]),
        ),
        ("a JPEG of 65,535 on a side", jpeg.to_vec()),
        ("a GIF of 65,535 on a side", gif.to_vec()),
        ("a WebP of 16,384 on a side", webp.to_vec()),
        ("a BMP of 2^31 on a side", bmp),
        ("nothing", Vec::new()),
        ("no image", b"%PDF-1.7".repeat(1000)),
    ];
    // More than the picture needs is not unfolded; whether it is refused is the format's business.
    let bombs = [
        png(56, 56, &[chunk(b"IDAT", &bomb)]),
        png(56, 56, &[chunk(b"iCCP", &profile), pixels(56, 56)]),
        png(56, 56, &[chunk(b"iTXt", &text), pixels(56, 56)]),
    ];
    withstands(&mut server, |server| {
        for (what, image) in &refused {
            is_refused(&ask(server, image), what);
        }
        for image in &bombs {
            let answer = ask(server, image);
            assert!(
                answer.status == 200 || answer.status == 400,
                "{}",
                answer.text()
            );
        }
    });
}

#[test]
fn the_zeros_are_what_they_seem() {
    assert_eq!(base64(b"Man, a"), "TWFuLCBh");
    assert_eq!(base64(b"ab"), "YWI=");
    // What zlib's own `compress(bytes(3), 1)` gives, but for the first byte's level.
    assert_eq!(chunk(b"IEND", b""), b"\0\0\0\0IEND\xae\x42\x60\x82");
    assert!(deflated_zeros(1 << 20).len() < 7000);
}
