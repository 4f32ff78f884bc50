//! CSS values that several components use.

/// The custom properties for a label's colour on a light and on a dark page; the stylesheet picks one.
pub const LIGHT: &str = "--tone-light";
pub const DARK: &str = "--tone-dark";

/// A fraction from 0 to 1 as a CSS percentage.
pub fn css_percent(fraction: f64) -> String {
    format!("{:.2}%", fraction.clamp(0.0, 1.0) * 100.0)
}
