//! Image files that are cut off, damaged, mislabelled, of other kinds or too large: refused in words that help, never
//! with a panic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use chat::image::{self, Pixels};
use chat::tekken::{ImageConfig, Version};
use proptest::prelude::*;
use serde_json::json;
use support::{base64, fixture, tekken};

const SMALL_4: ImageConfig = ImageConfig {
    patch_size: 14,
    max_image_size: 1540,
    spatial_merge_size: 2,
};

/// Small files of every format and kind of decoding.
const FILES: [&str; 18] = [
    "png-6-8.png",
    "png-0-2.png",
    "png-3-4-interlaced.png",
    "png-palette-transparent-some.png",
    "png-animated.png",
    "jpeg-28x28.jpg",
    "jpeg-sampling-2-progressive.jpg",
    "jpeg-restarts.jpg",
    "jpeg-cmyk.jpg",
    "webp-lossy-17x33.webp",
    "webp-lossy-alpha-40.webp",
    "webp-few-colours.webp",
    "webp-animated.webp",
    "gif-8.gif",
    "gif-interlaced-8.gif",
    "bmp-4.bmp",
    "bmp-32-masks-0.bmp",
    "bmp-runs-4.bmp",
];

fn file(name: &str) -> Vec<u8> {
    std::fs::read(fixture("images").join(name)).unwrap()
}

fn pixels(file: &[u8]) -> Result<Pixels, String> {
    image::pixels(file, SMALL_4, "messages[3].content[1]").map_err(|error| {
        assert_eq!(error.kind(), "ImageDecodeException");
        error.to_string()
    })
}

/// What a refusal must say beyond its reason: where, and what to do.
fn assert_helps(message: &str) {
    assert!(message.starts_with("messages[3].content[1]: "), "{message}");
    let advice = ["send", "scale it down", "expected PNG, JPEG"];
    assert!(
        advice.iter().any(|words| message.contains(words)),
        "{message}"
    );
}

#[test]
fn a_file_cut_anywhere_is_refused_or_whole() {
    for name in FILES {
        let whole = file(name);
        let expected = pixels(&whole).unwrap();
        let mut num_accepted = 0;
        for end in 0..whole.len() {
            match pixels(&whole[..end]) {
                Ok(got) => {
                    assert!(got == expected, "{name} up to {end}");
                    num_accepted += 1;
                }
                Err(message) => assert_helps(&message),
            }
        }
        // What may go missing: a PNG's last chunks and later frames, a GIF's and a BMP's last bytes; of the others nothing.
        let most = match name.split_once('-').unwrap().0 {
            "png" if name.contains("animated") => whole.len() / 2 + whole.len() / 4,
            "png" => 24,
            "gif" | "bmp" => 12,
            _ => 0,
        };
        assert!(num_accepted <= most, "{name}: {num_accepted}");
    }
}

#[test]
fn changed_bytes_are_no_panic() {
    for name in FILES {
        let whole = file(name);
        for place in (0..whole.len()).step_by(whole.len().div_ceil(600)) {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] ^= change;
                if let Err(message) = pixels(&damaged) {
                    assert_helps(&message);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damage_of_any_kind_is_no_panic(
        name in prop::sample::select(&FILES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
        moved in any::<prop::sample::Index>(),
    ) {
        let mut damaged = file(name);
        for (place, byte) in changes {
            let place = place.index(damaged.len());
            damaged[place] = byte;
        }
        let (from, to) = (moved.index(damaged.len()), cut.index(damaged.len()));
        damaged.rotate_left(from.min(to) % 3);
        damaged.drain(from.min(to)..from.max(to).min(from.min(to) + 40));
        if let Err(message) = pixels(&damaged) {
            assert_helps(&message);
        }
    }
}

/// A PNG of that size whose image data is missing.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut file = file("png-rgb-1x1.png");
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    file
}

#[test]
fn refusals_say_what_was_expected_and_got() {
    let jpeg = file("jpeg-28x28.jpg");
    let mut arithmetic = jpeg.clone();
    let sof = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    arithmetic[sof + 1] = 0xc9;
    let mut two_components = jpeg.clone();
    two_components[sof + 9] = 2;
    let mut bmp = file("bmp-16.bmp");
    bmp[30] = 4;
    let mut large = file("webp-lossy-alpha-40.webp");
    large[24..30].copy_from_slice(&[0xff, 0x0f, 0, 0xff, 0x0f, 0]);
    let mut wide = vec![0; image::MAX_FILE_BYTES + 1];
    wide[..2].copy_from_slice(b"BM");
    let table: [(&[u8], &str); 14] = [
        (
            b"<svg xmlns=",
            "not an image file of a known format: expected PNG, JPEG, GIF, WebP or BMP, got 11 bytes that begin with \
             [3c, 73, 76, 67, 20, 78, 6d, 6c]",
        ),
        (b"", "got 0 bytes that begin with []"),
        (
            &jpeg[..40],
            "the JPEG image has no whole header in its 40 bytes; send the whole file",
        ),
        (
            &png_header(0, 5),
            "the PNG image is 0 x 5 pixels; expected 1 to 33554432 in all",
        ),
        (
            &png_header(30000, 20000),
            "the PNG image is 30000 x 20000 pixels; expected 1 to 33554432 in all and at most 65535 on a side; scale it \
             down",
        ),
        (&png_header(70000, 1), "the PNG image is 70000 x 1 pixels"),
        (
            &wide,
            "the image has 50331649 bytes; expected at most 50331648; scale it down",
        ),
        (
            &jpeg[..jpeg.len() - 2],
            "the JPEG image of 28 x 28 pixels cannot be decoded: the file ends within its image data; send it \
             whole, smaller, or saved anew as PNG or JPEG",
        ),
        (
            &arithmetic,
            "its coding (start of frame c9) is not read; expected baseline, sequential or progressive",
        ),
        (&two_components, "it has 2 components; expected 1, 3 or 4"),
        (
            &bmp,
            "it has 16 bits a pixel and compression 4, a pair that is not read",
        ),
        (
            &file("webp-few-colours.webp")[..100],
            "the WebP image of 150 x 110 pixels cannot be decoded: the file ends within its image data: 100 bytes of 116;",
        ),
        (
            &large,
            "bytes of memory; expected at most 62914560; send it whole, smaller, or saved anew as PNG or JPEG",
        ),
        (
            &png_header(3, 2),
            "the PNG image of 3 x 2 pixels cannot be decoded: ",
        ),
    ];
    for (file, expected) in table {
        let message = pixels(file).unwrap_err();
        assert!(message.contains(expected), "{message}\n{expected}");
        assert_helps(&message);
    }
}

#[test]
fn settings_that_make_huge_images_are_refused() {
    let config = ImageConfig {
        patch_size: 1 << 20,
        ..SMALL_4
    };
    let refused = image::pixels(&file("jpeg-28x28.jpg"), config, "here").map(|_| ());
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("2097152 x 2097152 pixels"), "{message}");
}

/// From a request to pixels: labels say nothing, and a damaged image is refused by its place.
#[test]
fn a_prompt_s_images_become_pixels_or_are_refused_by_name() {
    let tekken = tekken(Version::V15);
    let jpeg = file("jpeg-28x28.jpg");
    let mut damaged = file("png-rgb-29x57.png");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let url = |label: &str, file: &[u8]| json!({"type": "image_url", "image_url": {"url": format!("data:{label};base64,{}", base64(file))}});
    let body = json!({"messages": [
        {"role": "user", "content": "Look at these."},
        {"role": "assistant", "content": "Where?"},
        {"role": "user", "content": [url("image/png", &jpeg), {"type": "text", "text": "a"}, url("image/png", &damaged)]},
    ]});
    let request = chat::request::parse(body.to_string().as_bytes()).unwrap();
    let prompt = chat::encode(&chat::validate(request, &tekken).unwrap(), &tekken).unwrap();
    let config = tekken.image().unwrap();
    let [first, second] = &prompt.images[..] else {
        panic!("two images");
    };

    let bytes = first.file().unwrap();
    assert_eq!(image::digest(&bytes), image::digest(&jpeg));
    let got = image::pixels(&bytes, config, &first.place()).unwrap();
    assert_eq!((got.width, got.height), first.grid.size_in_pixels(config));
    assert!(Ok(got) == pixels(&jpeg));

    let refused = image::pixels(&second.file().unwrap(), config, &second.place()).map(|_| ());
    let message = refused.unwrap_err().to_string();
    let expected = "messages[2].content[2]: the PNG image of 29 x 57 pixels cannot be decoded: ";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn equal_files_have_equal_digests() {
    let abc = image::digest(b"abc");
    assert_eq!(abc[..4], [0xba, 0x78, 0x16, 0xbf], "SHA-256");
    assert_ne!(abc, image::digest(b"abd"));
}
