//! Rows of pixels become the vision tower's input: resized by OpenCV's cubic kernel, then normalised.
//!
//! Four source rows are held at a time, each already resized to the target's width. Must not know: file formats,
//! tokens.

use super::Rows;

/// The mean of each colour over the training images, as a share of white. *Source*: the reference's `DATASET_MEAN`.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Their standard deviations. *Source*: the reference's `DATASET_STD`.
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// For one target place along a side: which source place its second tap is, and the taps' weights.
#[derive(Clone, Copy)]
struct Taps {
    /// From -1 to the last source place. The taps are at `second - 1` to `second + 2`.
    second: i64,
    weights: [f32; 4],
}

/// The taps of each target place along a side: Keys' kernel with a = -0.75, pixel centres at halves, and no wider when
/// shrinking.
fn taps(source: u32, target: u32, weights: fn(f64) -> (i64, [f32; 4])) -> Vec<Taps> {
    let scale = 1.0 / (f64::from(target) / f64::from(source));
    (0..target)
        .map(|place| {
            let (second, weights) = weights((f64::from(place) + 0.5) * scale - 0.5);
            Taps { second, weights }
        })
        .collect()
}

/// The second tap's place and all weights at a point between pixels, rounded once.
///
/// *Source*: what OpenCV 5.0 computes on x86, where Intel's IPP does the work.
fn exact_weights(centre: f64) -> (i64, [f32; 4]) {
    const A: f64 = -0.75;
    let second = centre.floor();
    let x = centre - second;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let weights = [far(1.0 + x), near(x), near(1.0 - x), far(2.0 - x)];
    (second as i64, weights.map(|weight| weight as f32))
}

/// The same, rounded at each step: far from the origin a place is off by up to an 8192nd of a pixel.
///
/// *Source*: OpenCV's own code, which takes images that are narrower or lower than IPP's kernel.
fn single_weights(centre: f64) -> (i64, [f32; 4]) {
    const A: f32 = -0.75;
    let centre = centre as f32;
    let second = centre.floor();
    let x = centre - second;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let first = ((A * (x + 1.0) - 5.0 * A) * (x + 1.0) + 8.0 * A) * (x + 1.0) - 4.0 * A;
    let (middle, third) = (near(x), near(1.0 - x));
    let weights = [first, middle, third, 1.0 - first - middle - third];
    (second as i64, weights)
}

/// A source row resized to the target's width.
///
/// `padded` is the row with its first pixel twice more before it and its last twice more behind it.
fn across(padded: &[f32], taps: &[Taps], out: &mut [f32]) {
    for (pixel, taps) in out.chunks_exact_mut(3).zip(taps) {
        let first = (taps.second + 1) as usize * 3;
        let near = &padded[first..first + 12];
        let [a, b, c, d] = taps.weights;
        for (colour, value) in pixel.iter_mut().enumerate() {
            *value = near[colour] * a
                + near[colour + 3] * b
                + near[colour + 6] * c
                + near[colour + 9] * d;
        }
    }
}

/// The last four source rows, as far as the target needs them.
struct Window<'a> {
    rows: &'a mut dyn Rows,
    /// How many source rows have been read.
    num_read: u32,
    rgb: Vec<u8>,
    padded: Vec<f32>,
    taps: Vec<Taps>,
    /// Source row `y` resized, in place `y % 4`.
    resized: [Vec<f32>; 4],
}

impl Window<'_> {
    /// Reads the source up to and with row `last`; rows before `first` are not needed.
    fn advance(&mut self, first: u32, last: u32) -> Result<(), String> {
        while self.num_read <= last {
            self.rows.next(&mut self.rgb)?;
            if self.num_read >= first {
                self.resize();
            }
            self.num_read += 1;
        }
        Ok(())
    }

    fn resize(&mut self) {
        let values = self.rgb.len();
        for (value, byte) in self.padded[6..6 + values].iter_mut().zip(&self.rgb) {
            *value = f32::from(*byte);
        }
        for colour in 0..3 {
            let (left, right) = (self.padded[6 + colour], self.padded[3 + values + colour]);
            for copy in [0, 3] {
                self.padded[copy + colour] = left;
                self.padded[6 + values + copy + colour] = right;
            }
        }
        let place = self.num_read as usize % 4;
        across(&self.padded, &self.taps, &mut self.resized[place]);
    }
}

/// Resizes an image of `size` pixels (width, height) to `target` and normalises it.
///
/// *Shapes*: the result is `[3, target height, target width]`. *Cost*: the result and a few rows of each size.
///
/// # Errors
/// Those of `rows`, of which all are read.
pub(super) fn normalised(
    rows: &mut dyn Rows,
    size: (u32, u32),
    target: (u32, u32),
) -> Result<Vec<f32>, String> {
    let (width, height) = (target.0 as usize, target.1 as usize);
    // The reference has two ways to compute the weights, 1e-4 apart; the image's smaller side decides.
    let weights = if size.0.min(size.1) < 4 {
        single_weights
    } else {
        exact_weights
    };
    let mut window = Window {
        rows,
        num_read: 0,
        rgb: vec![0; size.0 as usize * 3],
        padded: vec![0.0; (size.0 as usize + 4) * 3],
        taps: taps(size.0, target.0, weights),
        resized: std::array::from_fn(|_| vec![0.0; width * 3]),
    };
    let bottom = i64::from(size.1 - 1);
    let mut planes = vec![0.0; 3 * height * width];
    for (y, taps) in taps(size.1, target.1, weights).iter().enumerate() {
        let near: [u32; 4] =
            std::array::from_fn(|tap| (taps.second - 1 + tap as i64).clamp(0, bottom) as u32);
        window.advance(near[0], near[3])?;
        let [a, b, c, d] = near.map(|row| window.resized[row as usize % 4].chunks_exact(3));
        let four = a.zip(b).zip(c).zip(d);
        for (x, (((a, b), c), d)) in four.enumerate() {
            for colour in 0..3 {
                let weights = taps.weights;
                let value = a[colour] * weights[0]
                    + b[colour] * weights[1]
                    + c[colour] * weights[2]
                    + d[colour] * weights[3];
                planes[(colour * height + y) * width + x] =
                    (value / 255.0 - MEAN[colour]) / STD[colour];
            }
        }
    }
    // Rows below the last tap decide nothing, but an image that lacks them is broken.
    window.advance(size.1, size.1 - 1)?;
    Ok(planes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a formula, and how many were read.
    struct Formula {
        y: u32,
        pixel: fn(u32, u32) -> [u8; 3],
    }

    impl Rows for Formula {
        fn next(&mut self, rgb: &mut [u8]) -> Result<(), String> {
            for (x, pixel) in rgb.chunks_exact_mut(3).enumerate() {
                pixel.copy_from_slice(&(self.pixel)(x as u32, self.y));
            }
            self.y += 1;
            Ok(())
        }
    }

    #[test]
    fn known_values_of_the_reference() {
        let pixel = |x, y| [8 * x, 12 * y, 5 * (x + y)].map(|value: u32| (value % 256) as u8);
        let mut rows = Formula { y: 0, pixel };
        let planes = normalised(&mut rows, (30, 20), (56, 28)).unwrap();
        let table = [
            ([0, 0, 0], -1.804_251_2),
            ([0, 0, 55], 1.606_561),
            ([1, 13, 7], -0.097_654_73),
            ([2, 27, 55], 1.945_492),
            ([2, 14, 28], 0.264_121_95),
            ([0, 5, 20], -0.567_559_54),
            ([1, 27, 0], 1.683_850_5),
        ];
        for ([colour, y, x], expected) in table {
            let got = planes[(colour * 28 + y) * 56 + x];
            assert!((got - expected).abs() < 5e-6, "{got} {expected}");
        }
    }

    #[test]
    fn a_flat_image_stays_flat_and_is_read_to_its_end() {
        for (size, target) in [
            ((1, 1), (28, 28)),
            ((1, 5000), (28, 1540)),
            ((300, 7), (308, 28)),
        ] {
            let mut rows = Formula {
                y: 0,
                pixel: |_, _| [255, 0, 51],
            };
            let planes = normalised(&mut rows, size, target).unwrap();
            assert_eq!(rows.y, size.1);
            let area = (target.0 * target.1) as usize;
            assert_eq!(planes.len(), 3 * area);
            for (colour, share) in [1.0, 0.0, 0.2].into_iter().enumerate() {
                let expected = (share - MEAN[colour]) / STD[colour];
                let plane = &planes[colour * area..][..area];
                assert!(plane.iter().all(|got| (got - expected).abs() < 2e-6));
            }
        }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let pixel = |x: u32, y: u32| [(x * 9) as u8, (y * 9) as u8, (x * y) as u8];
        let mut rows = Formula { y: 0, pixel };
        let planes = normalised(&mut rows, (28, 56), (28, 56)).unwrap();
        for (x, y) in [(0, 0), (27, 55), (13, 20)] {
            for colour in 0..3 {
                let share = f32::from(pixel(x, y)[colour]) / 255.0;
                let got = planes[(colour * 56 + y as usize) * 28 + x as usize];
                assert_eq!(got, (share - MEAN[colour]) / STD[colour]);
            }
        }
    }
}
