//! A colour for each label, for any number of labels. Hues are a golden angle apart, so that neighbours
//! differ and the first few are spread well; the lightness is legible on a light and on a dark page.
//!
//! OKLCH after Björn Ottosson, <https://bottosson.github.io/posts/oklab/>.

/// The CSS colours of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tone {
    pub on_light: String,
    pub on_dark: String,
}

/// Degrees; the first label is red.
const FIRST_HUE: f64 = 27.0;
const GOLDEN_ANGLE: f64 = 137.508;

const ON_LIGHT: Shade = Shade { lightness: 0.53, chroma: 0.15 };
const ON_DARK: Shade = Shade { lightness: 0.76, chroma: 0.12 };

struct Shade {
    lightness: f64,
    chroma: f64,
}

/// The colours of the label with this index.
pub fn tone(label: usize) -> Tone {
    let hue = (FIRST_HUE + GOLDEN_ANGLE * label as f64) % 360.0;
    Tone { on_light: css(srgb(&ON_LIGHT, hue)), on_dark: css(srgb(&ON_DARK, hue)) }
}

fn css([red, green, blue]: [u8; 3]) -> String {
    format!("rgb({red} {green} {blue})")
}

/// The colour, with the chroma reduced as far as sRGB requires.
fn srgb(shade: &Shade, hue: f64) -> [u8; 3] {
    let mut chroma = shade.chroma;
    loop {
        let linear = linear_srgb(shade.lightness, chroma, hue);
        if chroma <= 0.0 || linear.iter().all(|value| (0.0..=1.0).contains(value)) {
            return linear.map(|value| (gamma(value.clamp(0.0, 1.0)) * 255.0).round() as u8);
        }
        chroma -= 0.005;
    }
}

fn linear_srgb(lightness: f64, chroma: f64, hue: f64) -> [f64; 3] {
    let (sin, cos) = hue.to_radians().sin_cos();
    let (a, b) = (chroma * cos, chroma * sin);
    let l = (lightness + 0.3963377774 * a + 0.2158037573 * b).powi(3);
    let m = (lightness - 0.1055613458 * a - 0.0638541728 * b).powi(3);
    let s = (lightness - 0.0894841775 * a - 1.2914855480 * b).powi(3);
    [
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    ]
}

fn gamma(linear: f64) -> f64 {
    if linear <= 0.0031308 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stylesheet's `--card`, light and dark.
    const CARDS: [[u8; 3]; 2] = [[0xff, 0xff, 0xff], [0x20, 0x1d, 0x28]];

    /// WCAG 2.2, relative luminance.
    fn luminance(colour: [u8; 3]) -> f64 {
        let [red, green, blue] = colour.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_hue_is_legible_as_text_on_its_card() {
        for hue in 0..360 {
            for (shade, card) in [ON_LIGHT, ON_DARK].iter().zip(CARDS) {
                let contrast = contrast(srgb(shade, f64::from(hue)), card);
                assert!(contrast >= 4.5, "hue {hue}: {contrast:.2}");
            }
        }
    }

    #[test]
    fn the_first_labels_are_far_apart() {
        let hues: Vec<f64> =
            (0..8).map(|label| (FIRST_HUE + GOLDEN_ANGLE * f64::from(label)) % 360.0).collect();
        for (index, a) in hues.iter().enumerate() {
            for b in &hues[..index] {
                let apart = (a - b).abs().min(360.0 - (a - b).abs());
                assert!(apart > 30.0, "{a} and {b}");
            }
        }
    }

    #[test]
    fn grey_comes_back_as_grey() {
        let [red, green, blue] = srgb(&Shade { lightness: 0.6, chroma: 0.0 }, 200.0);
        assert!(red == green && green == blue);
    }
}
